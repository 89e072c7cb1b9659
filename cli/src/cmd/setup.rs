//! What arguments and environment say together: the device, and where data are.

use resnetc::{DeviceKind, DeviceOptions};
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::data::Places;

use crate::args::{DeviceArg, RunArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// What `run` works with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Kernels and threads.
    pub device: DeviceOptions,
    /// Folders of data sets.
    pub places: Places,
}

impl Setup {
    /// Refuses a device that this build has not, before anything expensive.
    pub fn new(args: &RunArgs, environment: &Environment, output: &Output) -> Result<Self> {
        let other = |kind| DeviceOptions { kind, threads: args.threads, ..DeviceOptions::default() };
        let device = match args.device {
            DeviceArg::Cpu => tuned_cpu(args.threads, environment, output)?,
            DeviceArg::Reference => other(DeviceKind::Reference),
            DeviceArg::Cuda if cfg!(feature = "cuda") => other(DeviceKind::Cuda(0)),
            DeviceArg::Cuda => {
                let text = "this build has no CUDA: build with `--features cuda`, or choose `--device cpu`";
                return Err(Failure::Usage(text.into()));
            }
        };
        let data_dir = args.data_dir.clone().or_else(|| environment.data());
        let places = Places { data_dir, cache: environment.cache(), download: true };
        Ok(Setup { device, places })
    }
}

/// The CPU. Says so where measurements were kept that cannot be read: the cost model then decides.
pub fn tuned_cpu(
    threads: Option<usize>,
    environment: &Environment,
    output: &Output,
) -> Result<DeviceOptions> {
    let device = cpu(threads, environment, output)?;
    if let Some(Err(error)) = device.tuning_cache().map(|cache| cache.load()) {
        output.warn(&format!("warning: {error}\nIt is ignored; `resnetc tune` writes it anew."));
    }
    Ok(device)
}

/// The CPU, whatever its measurements are. Says so where threads would wait for each other's cores.
pub fn cpu(threads: Option<usize>, environment: &Environment, output: &Output) -> Result<DeviceOptions> {
    let cores = available_threads();
    if let Some(threads) = threads.filter(|&threads| threads > cores) {
        let plural = if cores == 1 { "" } else { "s" };
        output.warn(&format!(
            "warning: {threads} threads on {cores} core{plural}: they wait for each other, which may take many times as long; \
             leave --threads out to take all cores"
        ));
    }
    environment.guard()?;
    let (isa, tuning) = (environment.isa()?, environment.tuning());
    Ok(DeviceOptions { kind: DeviceKind::Cpu, threads, isa, tuning })
}
