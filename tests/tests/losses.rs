//! Losses of soft targets against PyTorch, timm and torchvision; `tests/golden/losses.py` wrote the figures.

use resnetc_compiler::ir::op::{Distillation, Objective};
use resnetc_compiler::plan::kernel::{TargetLoss, TargetLossBackward};
use resnetc_compiler::plan::{Kernel, LossGeometry};
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::oracle;
use resnetc_tests::plans::{cpu_session, run_kernel};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f32> {
    let all = value.as_array().expect("a list").iter();
    all.map(|number| number.as_f64().expect("a number") as f32).collect()
}

/// What a kernel of that loss reads, in its order.
fn inputs(given: &Value, geometry: &LossGeometry) -> Vec<Vec<f32>> {
    let mixed = ["others", "shares"].into_iter().filter(|_| geometry.mixed);
    let weights = ["class_weights"].into_iter().filter(|_| geometry.weighted);
    let names = ["logits", "labels"].into_iter().chain(mixed).chain(weights);
    names.map(|name| numbers(&given[name])).collect()
}

#[test]
fn losses_are_those_of_the_frameworks() {
    let golden: Value =
        serde_json::from_str(include_str!("../golden/losses.json")).expect("the script wrote JSON");
    let cases = golden["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 50);
    for case in cases {
        let geometry: LossGeometry =
            serde_json::from_value(case["geometry"].clone()).expect("a geometry as it is written");
        let data = inputs(&golden["given"], &geometry);
        let devices: [Box<dyn Session>; 2] = [Box::new(oracle()), cpu_session(1, Isa::Portable)];
        for mut device in devices {
            let close = |what: &str, got: &[f32], exact: &[f32]| {
                assert_eq!(got.len(), exact.len());
                for (g, e) in got.iter().zip(exact) {
                    // A few roundings of `f32`, and of the smoothing, which is one.
                    assert!((g - e).abs() <= 1e-6 * (1.0 + e.abs()), "{geometry:?}, {what}: {g}, not {e}");
                }
            };
            let mut run = |kernel: Kernel| run_kernel(&mut *device, &kernel, &data, &[]).expect("it runs");
            let loss = run(TargetLoss { geometry }.into());
            close("loss", &loss.outputs[0], &[case["loss"].as_f64().expect("a number") as f32]);
            let gradient = run(TargetLossBackward { geometry, scaled: false }.into());
            close("gradient", &gradient.outputs[0], &numbers(&case["gradient"]));
        }
    }
}

fn losses_and_gradients(geometry: LossGeometry, data: &[Vec<f32>]) -> Vec<(f32, Vec<f32>)> {
    let devices: [Box<dyn Session>; 2] = [Box::new(oracle()), cpu_session(1, Isa::Portable)];
    let both = devices.into_iter().map(|mut device| {
        let mut run = |kernel: Kernel| run_kernel(&mut *device, &kernel, data, &[]).expect("it runs");
        let loss = run(TargetLoss { geometry }.into()).outputs[0][0];
        (loss, run(TargetLossBackward { geometry, scaled: false }.into()).outputs[0].clone())
    });
    both.collect()
}

const PLAIN: LossGeometry = LossGeometry {
    rows: 2,
    classes: 3,
    objective: Objective::CrossEntropy,
    smoothing: 0.0,
    weighted: false,
    mixed: false,
    distillation: None,
};

/// Softmax of logarithms gives their numbers back: (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4), of labels 0 and 1.
#[test]
fn focal_of_a_softmax_is_its_formula() {
    let logits = [0.5, 0.25, 0.25, 0.125, 0.125, 0.75].map(f32::ln).to_vec();
    let data = [logits, vec![0.0, 1.0]];
    let geometry = |gamma| LossGeometry { objective: Objective::SoftmaxFocal { gamma }, ..PLAIN };
    for (loss, _) in losses_and_gradients(geometry(2.0), &data) {
        let exact = (0.25 * 2f32.ln() + 0.875 * 0.875 * 8f32.ln()) / 2.0;
        assert!((loss - exact).abs() < 1e-6, "{loss}, not {exact}");
    }
    let (focal, cross) = (losses_and_gradients(geometry(0.0), &data), losses_and_gradients(PLAIN, &data));
    for ((loss, gradient), (exact, expected)) in focal.into_iter().zip(cross) {
        assert!((loss - exact).abs() < 1e-6, "{loss}, not {exact}");
        for (g, e) in gradient.iter().zip(&expected) {
            assert!((g - e).abs() < 1e-6, "{g}, not {e}");
        }
    }
}

/// The divergence of (1/2, 1/4, 1/4) from (1/4, 1/4, 1/2) is `ln 2 / 4`; that of equal distributions is nothing.
#[test]
fn what_is_distilled_is_its_formula() {
    let t = 4.0;
    let at = |p: [f32; 3]| p.map(|p| t * p.ln());
    let logits = [at([0.25, 0.25, 0.5]), at([0.125, 0.125, 0.75])].concat();
    let teacher = [at([0.5, 0.25, 0.25]), at([0.125, 0.125, 0.75])].concat();
    let data = [logits, vec![0.0, 1.0], teacher];
    let learned = |hard| Distillation { alpha: 1.0, temperature: t, hard };
    let geometry = |hard| LossGeometry { distillation: Some(learned(hard)), ..PLAIN };
    for (loss, gradient) in losses_and_gradients(geometry(false), &data) {
        let exact = t * t * 2f32.ln() / 4.0 / 2.0;
        assert!((loss - exact).abs() < 1e-5, "{loss}, not {exact}");
        for (g, e) in gradient.iter().zip([-0.5, 0.0, 0.5, 0.0, 0.0, 0.0]) {
            assert!((g - e).abs() < 1e-6, "{g}, not {e}");
        }
    }
    // The teacher's classes are 0 and 2: the cross-entropy of these labels.
    let labels = [data[0].clone(), vec![0.0, 2.0]];
    let (hard, cross) = (losses_and_gradients(geometry(true), &data), losses_and_gradients(PLAIN, &labels));
    for ((loss, gradient), (exact, expected)) in hard.into_iter().zip(cross) {
        assert!((loss - exact).abs() < 1e-5, "{loss}, not {exact}");
        for (g, e) in gradient.iter().zip(&expected) {
            assert!((g - e).abs() < 1e-6, "{g}, not {e}");
        }
    }
}
