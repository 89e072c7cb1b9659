//! Loss and update.

use resnetc_compiler::ir::op::SgdAttrs;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::Kernel;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::RunArgs;

use crate::harness::{Case, Output, Random, Tensor, check, rounding, run};

fn case(kernel: Kernel, inputs: Vec<Tensor>, outputs: Vec<Output>) -> Case {
    let args = RunArgs::default();
    Case { kernel, args, inputs, outputs, updated: Vec::new(), aliases: Vec::new() }
}

fn f32s(values: &[f64]) -> Tensor {
    Tensor { dtype: DType::F32, values: values.to_vec() }
}

#[test]
fn softmax_and_cross_entropy() {
    for [rows, classes] in [[1, 1], [1, 10], [128, 10], [3, 7], [50, 100], [9, 1000]] {
        let len = rows * classes;
        let mut r = Random(21);
        let (logits, labels) = (r.floats(len, -20.0, 20.0), r.whole(DType::U32, rows, classes));
        // Every probability: the difference's rounding (of up to 40, and e^x turns absolute errors into relative ones),
        // the exponential's 4 half units, the reciprocal and the product; relative to at most 1; the sum's terms err alike.
        let probability = rounding(2 * 40 + 2 * 4 + 2, 1.0);
        let out = |len, tolerance| Output { dtype: DType::F32, len, tolerance };
        check(&case(Kernel::Softmax { rows, classes }, vec![logits.clone()], vec![out(len, probability)]));
        for smoothing in [0.0, 0.1] {
            let inputs = vec![logits.clone(), labels.clone()];
            let kernel = Kernel::CrossEntropy { rows, classes, smoothing };
            // The logarithm of the sum errs as the sum does relatively; the mean is rounded once, up to 40 + ln 1000.
            let loss = rounding(40 + 4, 1.0) + rounding(1, 47.0);
            check(&case(kernel, inputs.clone(), vec![out(1, loss), out(1, 0.0)]));
            let kernel = Kernel::CrossEntropyBackward { rows, classes, smoothing };
            let gradient = (probability + rounding(3, 1.0)) / rows as f64;
            check(&case(kernel, inputs, vec![out(len, gradient)]));
        }
    }
}

#[test]
fn of_equal_logits_the_first_is_the_answer_and_a_wrong_label_is_nan() {
    let out = Output { dtype: DType::F32, len: 1, tolerance: 0.0 };
    let kernel = Kernel::CrossEntropy { rows: 2, classes: 3, smoothing: 0.0 };
    let logits = f32s(&[1.0, 5.0, 5.0, 2.0, 2.0, 1.0]);
    let with_labels = |labels: [f64; 2]| {
        let labels = Tensor { dtype: DType::U32, values: labels.to_vec() };
        let c = case(kernel.clone(), vec![logits.clone(), labels], vec![out, out]);
        run(&c, Isa::Portable, 2, &[None, None])
    };
    assert_eq!(with_labels([1.0, 0.0])[1], [2.0]);
    assert_eq!(with_labels([2.0, 1.0])[1], [0.0]);
    assert!(with_labels([1.0, 3.0])[0][0].is_nan());
}

/// One update of `[param, velocity]`.
fn update(isa: Isa, sgd: SgdAttrs, lr: f32, first_update: bool, [p, g, v]: [&[f64]; 3]) -> [Vec<f64>; 2] {
    let mut c = case(Kernel::SgdUpdate { len: p.len(), sgd }, [p, g, v].map(f32s).into(), Vec::new());
    c.args = RunArgs { lr, first_update, ..RunArgs::default() };
    c.updated = vec![(0, 0.0), (2, 0.0)];
    run(&c, isa, 2, &[]).try_into().expect("two results")
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

/// PyTorch's documented semantics, in numbers that are exact in binary.
#[test]
fn sgd_by_hand() {
    let plain = SgdAttrs { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
    for isa in available() {
        // Weight decay: g = 1 + 0.5 * 2; p = 2 - 0.25 * 2. Without momentum the velocity stays as it is.
        let decayed = SgdAttrs { weight_decay: 0.5, ..plain };
        assert_eq!(update(isa, decayed, 0.25, true, [&[2.0], &[1.0], &[7.0]]), [[1.5], [7.0]]);
        // The first velocity is the gradient, whatever it held and whatever the dampening; then 0.5 * 2 + 0.5 * 2.
        let damped = SgdAttrs { momentum: 0.5, dampening: 0.5, ..plain };
        assert_eq!(update(isa, damped, 0.25, true, [&[1.0], &[2.0], &[7.0]]), [[0.5], [2.0]]);
        assert_eq!(update(isa, damped, 0.25, false, [&[0.5], &[2.0], &[2.0]]), [[0.0], [2.0]]);
        // Nesterov: g + 0.5 * v = 3; then v = 1 + 2, g + 0.5 * v = 3.5.
        let nesterov = SgdAttrs { momentum: 0.5, nesterov: true, ..plain };
        assert_eq!(update(isa, nesterov, 0.25, true, [&[1.0], &[2.0], &[0.0]]), [[0.25], [2.0]]);
        assert_eq!(update(isa, nesterov, 0.25, false, [&[0.25], &[2.0], &[2.0]]), [[-0.625], [3.0]]);
    }
}

/// The update in scalar `f32`, multiply-adds fused or not.
fn scalar_sgd(s: &SgdAttrs, lr: f32, first: bool, fused: bool, p: &mut f32, g: f32, v: &mut f32) {
    let mul_add = |a: f32, b: f32, c: f32| if fused { a.mul_add(b, c) } else { a * b + c };
    let g = if s.weight_decay == 0.0 { g } else { mul_add(*p, s.weight_decay, g) };
    let mut step = g;
    if s.momentum != 0.0 {
        *v = if first { g } else { mul_add(g, 1.0 - s.dampening, *v * s.momentum) };
        step = if s.nesterov { mul_add(*v, s.momentum, g) } else { *v };
    }
    *p = mul_add(step, -lr, *p);
}

/// Several steps, bit for bit: nothing is reordered, and each rounding is known, so a difference is a mistake.
#[test]
fn sgd_is_the_scalar_formula_bit_for_bit() {
    let variants =
        [(0.9, 0.0, false, 1e-4), (0.9, 0.1, false, 0.0), (0.9, 0.0, true, 5e-4), (0.0, 0.0, false, 1e-2)];
    for isa in available() {
        let fused = isa != Isa::Portable || cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        for (momentum, dampening, nesterov, weight_decay) in variants {
            let sgd = SgdAttrs { momentum, dampening, nesterov, weight_decay };
            for len in [1, 15, 100, 5003] {
                let mut r = Random(22);
                let mut state = [r.floats(len, -1.0, 1.0).values, vec![0.0; len]];
                let mut model: Vec<(f32, f32)> = state[0].iter().map(|&p| (p as f32, 0.0)).collect();
                for step in 0..4 {
                    let (g, lr) = (r.floats(len, -1.0, 1.0).values, 0.1 / (step + 1) as f32);
                    state = update(isa, sgd, lr, step == 0, [&state[0], &g, &state[1]]);
                    for ((p, v), &g) in model.iter_mut().zip(&g) {
                        scalar_sgd(&sgd, lr, step == 0, fused, p, g as f32, v);
                    }
                    let (p, v): (Vec<f64>, Vec<f64>) =
                        model.iter().map(|&(p, v)| (f64::from(p), f64::from(v))).unzip();
                    assert!(state == [p, v], "{}, {sgd:?}, {len} elements, step {step}", isa.name());
                }
            }
        }
    }
}

#[test]
fn sgd_against_the_oracle() {
    let sgd = SgdAttrs { momentum: 0.9, dampening: 0.25, nesterov: true, weight_decay: 1e-3 };
    for len in [1, 17, 10_000] {
        let mut r = Random(23);
        let inputs = (0..3).map(|_| r.floats(len, -1.0, 1.0)).collect();
        let mut c = case(Kernel::SgdUpdate { len, sgd }, inputs, Vec::new());
        c.args = RunArgs { lr: 0.1, ..RunArgs::default() };
        // Decay 2, velocity 3, Nesterov 2, step 2 roundings of values up to 1 + 0.1 * 3.
        c.updated = vec![(0, rounding(9, 2.0)), (2, rounding(5, 2.0))];
        check(&c);
    }
}
