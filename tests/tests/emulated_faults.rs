//! What the emulation of a GPU finds: faults that are planted, and races of the kernels under ThreadSanitizer.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use resnetc_runtime::cuda::driver::{Driver, Fill, Preparer};
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::cuda::launch::{Arg, Call, Launch};
use resnetc_tests::again::{only, passed};
use resnetc_tests::emulated::{Threads, compiled, driver, session};
use resnetc_tests::kernels::MAKERS;
use resnetc_tests::operands::signature;
use resnetc_tests::plans::run_kernel;
use resnetc_tests::rng::Rng;

const THREADS: usize = 64;
/// Kernels of each kind that run with a thread of the system for each of the GPU.
const CASES: u64 = 2;
/// Set in a process that runs under ThreadSanitizer.
const SANITISED: &str = "RESNETC_TESTS_SANITISED";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn faults(threads: Threads) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/emulated/faults.cpp");
    compiled(folder(), &source, threads)
}

/// The sum of 64 ones by a kernel of `faults.cpp`.
fn sum(library: &Path, function: &str, seed: u64) -> Result<f32, String> {
    let driver: Arc<dyn Driver> = Arc::new(
        Emulated::open(library, Choices { seed, fuses: false, memory: None })
            .expect("the library was just compiled"),
    );
    let (x, result) = (driver.allocate(THREADS * 4, Fill::Anything), driver.allocate(4, Fill::Anything));
    let (x, result) = (x.expect("memory"), result.expect("memory"));
    let ones: Vec<u8> = 1f32.to_ne_bytes().repeat(THREADS);
    driver.upload(x.address, &ones).expect("its own memory");
    let launch = Launch {
        function: function.to_owned(),
        grid: [1, 1, 1],
        block: [THREADS as u32, 1, 1],
        shared: (THREADS * 4) as u32,
        args: vec![Arg::At(x.address), Arg::At(result.address)],
    };
    driver.check(function, &launch.signature()).map_err(|e| e.to_string())?;
    driver.play(&[Call::Launch(launch)]).map_err(|e| e.to_string())?;
    let mut bytes = [0; 4];
    driver.download(result.address, &mut bytes).expect("its own memory");
    Ok(f32::from_ne_bytes(bytes))
}

#[test]
fn a_sound_kernel_is_right_in_every_order() {
    let library = faults(Threads::Fibers);
    for seed in 0..20 {
        assert_eq!(sum(&library, "sound", seed), Ok(64.0));
    }
}

#[test]
fn a_missing_barrier_shows_as_a_wrong_sum() {
    let library = faults(Threads::Fibers);
    for seed in 0..20 {
        let found = sum(&library, "race", seed).expect("it runs");
        assert!(found.is_nan(), "seed {seed}: {found}");
    }
}

#[test]
fn faults_are_told() {
    let library = faults(Threads::Fibers);
    for (function, text) in [
        ("divergence", "threads of a block have ended"),
        ("two_barriers", "threads of a block wait at"),
        ("misaligned", "no multiple of 16"),
        ("outside", "outside of its memory"),
        ("absent", "no kernel absent"),
    ] {
        let error = sum(&library, function, 7).expect_err(function);
        assert!(error.contains(text), "{function}: {error}");
    }
}

/// The loader makes one of what two libraries define inline, unless that is hidden.
#[test]
fn libraries_know_no_kernels_of_each_other() {
    let kernels = driver(folder(), Threads::Fibers, Choices { seed: 1, fuses: false, memory: None });
    assert_eq!(sum(&faults(Threads::Fibers), "sound", 1), Ok(64.0));
    let error = kernels.check("sound", "pp").expect_err("it is the other library's").to_string();
    assert!(error.contains("no kernel sound"), "{error}");
}

/// Runs a test of this file in a process of its own, under ThreadSanitizer.
fn sanitised(test: &str) -> Output {
    let found = Command::new("c++").arg("-print-file-name=libtsan.so").output().expect("a C++ compiler");
    let sanitizer = String::from_utf8(found.stdout).expect("a path");
    only(module_path!(), test)
        .env(SANITISED, "1")
        .env("LD_PRELOAD", sanitizer.trim())
        // What was compiled by Rust is not instrumented: its own synchronisation is not seen.
        .env("TSAN_OPTIONS", "halt_on_error=1 exitcode=66 ignore_noninstrumented_modules=1")
        .output()
        .expect("it starts")
}

fn is_sanitised() -> bool {
    std::env::var_os(SANITISED).is_some()
}

#[test]
fn a_race_is_found() {
    if is_sanitised() {
        let _ = sum(&faults(Threads::System), "race", 1);
        return;
    }
    faults(Threads::System);
    let output = sanitised("a_race_is_found");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(66), "{errors}");
    assert!(errors.contains("data race") && errors.contains("faults.cpp"), "{errors}");
}

#[test]
fn kernels_have_no_races() {
    if is_sanitised() {
        let driver = driver(folder(), Threads::System, Choices { seed: 1, fuses: false, memory: None });
        let mut rng = Rng::new(1);
        for (kind, make) in MAKERS {
            for case in 0..CASES {
                let kernel = make(&mut Rng::new(case));
                let data: Vec<Vec<f32>> =
                    signature(&kernel).inputs.iter().map(|o| o.generate(&mut rng)).collect();
                let results = run_kernel(&mut *session(&driver), &kernel, &data, &[]);
                assert!(results.is_ok(), "{kind}: {results:?}");
            }
        }
        assert!(driver.launches() > 0, "nothing has run");
        return;
    }
    resnetc_tests::emulated::library(folder(), Threads::System);
    let output = sanitised("kernels_have_no_races");
    assert!(passed(&output), "{}", String::from_utf8_lossy(&output.stderr));
}
