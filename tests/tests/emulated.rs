//! The GPU's kernels on the CPU against the oracle: each alone, and in whole plans.

use std::path::Path;

use resnetc_runtime::cuda::emulated::Choices;
use resnetc_tests::bounds::{Products, check_all_kinds};
use resnetc_tests::emulated::{Threads, driver, session};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

#[test]
fn kernels_agree_whatever_the_order_of_threads() {
    for seed in [1, 2] {
        let driver = driver(folder(), Threads::Fibers, Choices { seed, fuses: false, memory: None });
        check_all_kinds(&|| session(&driver), Products::Stored);
    }
}

#[test]
fn kernels_agree_where_the_driver_fuses() {
    let driver = driver(folder(), Threads::Fibers, Choices { seed: 3, fuses: true, memory: None });
    check_all_kinds(&|| session(&driver), Products::Whole);
}
