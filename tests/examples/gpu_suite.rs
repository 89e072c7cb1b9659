//! The suite of kernels on a GPU against the oracle: `gpu_suite cuda:N`, or `gpu_suite LIBRARY` for an emulated one, whose library of
//! kernels `emulated::library` compiles. It prints a line for each kind of kernel and, last, how many of them agree; it fails where one
//! does not.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::driver::Driver;
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::device::{Device, Session};
use resnetc_tests::bounds::{CASES, Products, faults_of_kind};
use resnetc_tests::kernels::MAKERS;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let device = std::env::args().nth(1);
    let Some(device) = device else {
        return told("usage: gpu_suite cuda:N | LIBRARY");
    };
    match driver(&device).and_then(|driver| check(&driver)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => told(&error.to_string()),
    }
}

/// Says what stands in the way.
fn told(text: &str) -> ExitCode {
    // Where nobody can be told, the status says it.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(2)
}

fn driver(device: &str) -> Result<Arc<dyn Driver>> {
    match device.strip_prefix("cuda:") {
        Some(ordinal) => card(ordinal.parse()?),
        None => Ok(Arc::new(Emulated::open(Path::new(device), Choices::default())?)),
    }
}

#[cfg(feature = "cuda")]
fn card(ordinal: usize) -> Result<Arc<dyn Driver>> {
    use resnetc_runtime::cuda::card::{Card, Options};
    use resnetc_runtime::cuda::{require, search::Search};

    require(&Search::default(), ordinal)?;
    // Thousands of small convolutions: what is fastest is not asked.
    let measuring = std::time::Duration::ZERO;
    Ok(Arc::new(Card::open(&Options { ordinal, measuring, ..Options::default() })?))
}

#[cfg(not(feature = "cuda"))]
fn card(_ordinal: usize) -> Result<Arc<dyn Driver>> {
    Err("this build has no CUDA: build with `--features cuda`".into())
}

/// Whether all kinds agree.
fn check(driver: &Arc<dyn Driver>) -> Result<bool> {
    let mut out = io::stdout();
    writeln!(out, "{}", driver.describe())?;
    let session = || -> Box<dyn Session> {
        let device = Arc::new(CudaDevice::new(Arc::clone(driver)));
        device.session().expect("sessions need nothing")
    };
    let mut agree = 0;
    let kinds: Vec<_> = MAKERS.iter().collect();
    for (kind, make) in &kinds {
        let faults: Vec<(u64, String)> = faults_of_kind(&session, *make, Products::Stored).collect();
        agree += usize::from(faults.is_empty());
        match faults.first() {
            None => writeln!(out, "{kind}: {CASES} cases agree")?,
            Some((case, fault)) => {
                writeln!(out, "{kind}: {} of {CASES} cases differ; case {case}: {fault}", faults.len())?;
            }
        }
        out.flush()?;
    }
    writeln!(out, "{agree} of {} kinds of kernels agree", kinds.len())?;
    Ok(agree == kinds.len())
}
