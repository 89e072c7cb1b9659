//! The GPU's kernels on the CPU against the oracle: each alone, and in whole plans.

use std::path::Path;

use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::{Products, check_kernel_with};
use resnetc_tests::emulated::{Threads, driver, session};
use resnetc_tests::kernels::{MAKERS, Maker};
use resnetc_tests::rng::Rng;

/// Kernels of each kind.
const CASES: u64 = 40;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Every kind of kernel; panics with the first fault of each kind that has one.
fn check_all(new_session: &dyn Fn() -> Box<dyn Session>, products: Products) {
    let fault = |&(kind, make): &(&str, Maker)| {
        let mut faults = (0..CASES).filter_map(|case| {
            let kernel = make(&mut Rng::new(case));
            let fault = check_kernel_with(new_session, &kernel, case, products).err();
            fault.map(|fault| format!("{kind}, case {case}: {fault}"))
        });
        faults.next()
    };
    let faults: Vec<String> = MAKERS.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn kernels_agree_whatever_the_order_of_threads() {
    for seed in [1, 2] {
        let driver = driver(folder(), Threads::Fibers, Choices { seed, fuses: false, memory: None });
        check_all(&|| session(&driver), Products::Stored);
    }
}

#[test]
fn kernels_agree_where_the_driver_fuses() {
    let driver = driver(folder(), Threads::Fibers, Choices { seed: 3, fuses: true, memory: None });
    check_all(&|| session(&driver), Products::Whole);
}
