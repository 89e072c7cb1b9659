//! Measured algorithms: that devices take them, that they compute the same, and that files keep them.

use std::collections::BTreeMap;
use std::sync::Arc;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cpu::tune::{Cache, Layer, Measurement, Tuning};
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs;

/// Wide enough that no algorithm is hopeless for its 3x3 layers.
const NET: &str = "name: small\ninput: [3, 16, 16]\nclasses: 10\nunit: basic\nshortcut: projection\nstem: conv3x3(64) -> bn -> relu\n\
                   stages:\n  - {depth: 1, filters: 64}\n  - {depth: 1, filters: 96, stride: 2}\n\
                   head: global_avgpool -> linear(classes)\n";

fn plan(mode: Mode) -> Arc<Plan> {
    specs::plan(&specs::resolve(NET), mode, 2)
}

fn executor(isa: Isa, tuning: Tuning, plan: &Arc<Plan>) -> Executor {
    let device = CpuDevice::with_isa(2, isa).expect("two threads").with_tuning(tuning);
    let executor = Executor::new(Arc::new(device), plan.clone()).expect("it loads");
    executor.load_params(&init::initial(&self::plan(Mode::Train), 5).expect("weights")).expect("its own");
    executor
}

/// The output named, of random images; of a training, with labels, before its update.
fn result(mut executor: Executor, plan: &Plan, name: &str) -> Vec<f32> {
    let mut rng = Rng::new(9);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    let images: Vec<f32> = (0..len).map(|_| rng.normal()).collect();
    executor.set_input_nhwc(0, &images).expect("two images");
    if plan.labels.is_some() {
        executor.set_labels(0, &[3, 7]).expect("two labels");
    }
    executor.run(0, &RunArgs::default(), None).expect("it runs");
    executor.output(0, name).expect("it has that output")
}

fn measured(algorithm: &str) -> Measurement {
    Measurement { fastest: algorithm.to_owned(), microseconds: BTreeMap::from([(algorithm.to_owned(), 1.5)]) }
}

/// Every algorithm that a step could take, plausible or not, as the only one that is measured.
fn each_alone(isa: Isa, plan: &Arc<Plan>) -> Vec<(usize, &'static str, Tuning)> {
    let executor = executor(isa, Tuning::default(), plan);
    let mut all = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(choice) = executor.choice(0, index) else { continue };
        let layer = Layer::of(&step.kernel).expect("only convolutions have a choice");
        for estimate in &choice.estimates {
            let mut tuning = Tuning::default();
            tuning.insert(layer, measured(estimate.algorithm));
            all.push((index, estimate.algorithm, tuning));
        }
    }
    all
}

/// Sums of up to 864 products in another order, through five layers: far below what a wrong algorithm would change.
const TOLERANCE: f32 = 1e-3;

#[test]
fn what_was_measured_is_taken_and_computes_the_same() {
    for mode in [Mode::Infer, Mode::Train] {
        let plan = plan(mode);
        let name = if mode == Mode::Infer { "logits" } else { "loss" };
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let expected = result(executor(isa, Tuning::default(), &plan), &plan, name);
            let mut others = 0;
            for (step, algorithm, tuning) in each_alone(isa, &plan) {
                let executor = executor(isa, tuning, &plan);
                let choice = executor.choice(0, step).expect("as before");
                if choice.algorithm != algorithm {
                    let of = |name| choice.estimates.iter().find(|e| e.algorithm == name).map(|e| e.cycles());
                    assert!(of(algorithm) > of(choice.algorithm).map(|cycles| 3.0 * cycles), "{algorithm}");
                    assert!(!choice.measured);
                    continue;
                }
                assert!(choice.measured);
                others += 1;
                for (found, expected) in result(executor, &plan, name).iter().zip(&expected) {
                    let bound = TOLERANCE * expected.abs().max(1.0);
                    assert!(
                        (found - expected).abs() < bound,
                        "{algorithm}, {}: {found} {expected}",
                        isa.name()
                    );
                }
            }
            assert!(others > 0, "{} has nothing to choose", isa.name());
        }
    }
}

#[test]
fn an_unknown_algorithm_is_left_out() {
    let plan = plan(Mode::Infer);
    let mut tuning = Tuning::default();
    let layers = plan.steps.iter().filter_map(|step| Layer::of(&step.kernel));
    layers.for_each(|layer| tuning.insert(layer, measured("of-another-version")));
    let [with, without] = [tuning, Tuning::default()].map(|tuning| executor(Isa::Portable, tuning, &plan));
    for step in 0..plan.steps.len() {
        assert_eq!(with.choice(0, step), without.choice(0, step));
    }
}

#[test]
fn a_file_keeps_what_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::in_folder(&folder.path().join("not/yet"), Isa::Portable, 2);
    assert_eq!(cache.load().expect("no file is no fault"), Tuning::default());

    let plan = plan(Mode::Train);
    let mut tuning = Tuning::default();
    let layers: Vec<Layer> = plan.steps.iter().filter_map(|step| Layer::of(&step.kernel)).collect();
    layers.iter().for_each(|&layer| tuning.insert(layer, measured("direct")));
    assert!(tuning.len() > 10);
    cache.save(&tuning).expect("it is written");
    assert_eq!(cache.load().expect("it is read"), tuning);
    tuning.remove(&layers[0]);
    cache.save(&tuning).expect("it is replaced");
    assert_eq!(cache.load().expect("it is read"), tuning);

    // Of other threads it is not.
    let other = Cache::in_folder(&folder.path().join("not/yet"), Isa::Portable, 3);
    assert_eq!(other.load().expect("another file"), Tuning::default());
    std::fs::copy(cache.path(), other.path()).expect("a copy");
    assert_eq!(other.load().expect("a file of other threads"), Tuning::default());

    std::fs::write(cache.path(), "{\"version\": 1").expect("it is written");
    let fault = cache.load().expect_err("no such file").to_string();
    assert!(fault.contains(&cache.path().display().to_string()), "{fault}");
    let file = std::fs::File::create(cache.path()).expect("it is emptied");
    file.set_len(1 << 40).expect("a hole");
    let fault = cache.load().expect_err("too large").to_string();
    assert!(fault.ends_with("it has 1099511627776 bytes, such a file has 67108864 at most"), "{fault}");
    std::fs::remove_file(cache.path()).and_then(|()| std::fs::create_dir(cache.path())).expect("a folder");
    let fault = cache.load().expect_err("no file").to_string();
    assert!(fault.ends_with("it is a folder, no regular file"), "{fault}");
}
