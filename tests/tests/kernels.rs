//! Every kernel on every device against the oracle; the oracle against definitions.

use std::sync::Arc;

use candle_core::{DType, Device as CandleDevice};
use resnetc_compiler::plan::Kernel;
use resnetc_compiler::plan::kernel::{AvgPool, Conv, MaxPool};
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_tests::bounds::{CASES, Products, check_all_kinds, oracle};
use resnetc_tests::kernels::{conv, pool};
use resnetc_tests::naive;
use resnetc_tests::operands::signature;
use resnetc_tests::plans::{cpu_session, run_kernel};
use resnetc_tests::rng::Rng;

#[test]
fn reference_in_single_precision_agrees() {
    let single = || -> Box<dyn Session> {
        let single = ReferenceDevice::new(CandleDevice::Cpu, DType::F32).expect("f32 is supported");
        Box::new(Arc::new(single).open_session())
    };
    check_all_kinds(&single, Products::Whole);
}

/// With one thread and with more than there is work for in small cases.
fn cpu_agrees(isa: Isa) {
    if !isa.available() {
        return;
    }
    for threads in [1, 3] {
        check_all_kinds(&|| cpu_session(threads, isa), Products::Whole);
    }
}

#[test]
fn cpu_amx_agrees() {
    cpu_agrees(Isa::Amx);
}

#[test]
fn cpu_avx512bf16_agrees() {
    cpu_agrees(Isa::Avx512Bf16);
}

#[test]
fn cpu_avx512_agrees() {
    cpu_agrees(Isa::Avx512);
}

#[test]
fn cpu_avx2_agrees() {
    cpu_agrees(Isa::Avx2);
}

#[test]
fn cpu_neon_agrees() {
    cpu_agrees(Isa::Neon);
}

#[test]
fn cpu_portable_agrees() {
    cpu_agrees(Isa::Portable);
}

/// Largest difference between the oracle's single-precision result and a definition in double precision.
fn assert_close(kernel: &Kernel, got: &[f32], exact: &[f64]) {
    assert_eq!(got.len(), exact.len(), "{kernel:?}");
    for (g, e) in got.iter().zip(exact) {
        assert!((f64::from(*g) - e).abs() <= 1e-6 * (1.0 + e.abs()), "{kernel:?}: {g}, not {e}");
    }
}

/// Runs a kernel on the oracle on random data: its inputs and outputs.
fn run(kernel: &Kernel, rng: &mut Rng) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let data: Vec<Vec<f32>> = signature(kernel).inputs.iter().map(|o| o.generate(rng)).collect();
    let results = run_kernel(&mut oracle(), kernel, &data, &[]).expect("the oracle runs");
    (data, results.outputs)
}

#[test]
fn the_oracle_convolves_by_definition() {
    for case in 0..CASES {
        let mut rng = Rng::new(case);
        let geometry = conv(&mut rng);
        let kernel = Kernel::Conv(Conv { geometry, bias: false, epilogue: Default::default() });
        let (data, outputs) = run(&kernel, &mut rng);
        assert_close(&kernel, &outputs[0], &naive::conv(&geometry, &data[0], &data[1]));
    }
}

#[test]
fn the_oracle_pools_by_definition() {
    for case in 0..CASES {
        let mut rng = Rng::new(case);
        let geometry = pool(&mut rng);
        let kernel = Kernel::MaxPool(MaxPool { geometry, positions: true });
        let (data, outputs) = run(&kernel, &mut rng);
        for (i, window) in naive::pool_windows(&geometry, &data[0]).enumerate() {
            let best = window.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            let best = best.expect("every window touches the image");
            assert_eq!((outputs[1][i] as usize, outputs[0][i]), best, "{kernel:?}, window {i}");
        }

        let kernel = Kernel::AvgPool(AvgPool { geometry });
        let (data, outputs) = run(&kernel, &mut rng);
        if !geometry.attrs.count_padding {
            let mean = |w: Vec<(usize, f32)>| w.iter().map(|t| f64::from(t.1)).sum::<f64>() / w.len() as f64;
            let exact: Vec<f64> = naive::pool_windows(&geometry, &data[0]).map(mean).collect();
            assert_close(&kernel, &outputs[0], &exact);
        }
    }
}
