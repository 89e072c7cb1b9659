//! Losses of soft targets against PyTorch, timm and torchvision; `tests/golden/losses.py` wrote the figures.

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
