//! Folded inference on the CPU against inference by definition, with running statistics that training has moved.

use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::build::build;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::{Recipe, UpdateRule};
use resnetc_compiler::pass::{self, PassContext};
use resnetc_compiler::spec::ResolvedSpec;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::evaluate::logits;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan, resolve};
use resnetc_tests::training::SGD;

const BATCH: usize = 4;
const SIZE: usize = 12;

/// Normalisations behind convolutions with and without bias and groups, and, in front of them, not foldable. One unit: a
/// bound on the worst case grows tenfold with each convolution, and has to stay below what the statistics change.
fn spec(main: &str) -> ResolvedSpec {
    let text = format!(
        "name: folding\ninput: [3, {SIZE}, {SIZE}]\nclasses: 7\nstem: conv3x3(8) -> bn -> relu\nunits:\n\
         \x20 own(f, stride):\n    main = x -> {main}\n    out = main + shortcut -> relu\nunit: own\n\
         shortcut: projection\nstages:\n  - {{depth: 1, filters: 16, stride: 2}}\n\
         head: global_avgpool -> linear(classes)\n"
    );
    resolve(&text)
}

fn executor(spec: &ResolvedSpec, mode: Mode) -> Executor {
    let cpu = CpuDevice::new(Some(2)).expect("two threads");
    Executor::new(Arc::new(cpu), plan(spec, mode, BATCH)).expect("it loads")
}

fn images(rng: &mut Rng) -> Vec<f32> {
    (0..BATCH * 3 * SIZE * SIZE).map(|_| rng.normal()).collect()
}

/// After a few steps on random images the parameters and statistics are no constants any more.
fn trained(spec: &ResolvedSpec, rng: &mut Rng) -> Executor {
    let mut exec = executor(spec, Mode::Train);
    exec.load_params(&resnetc_runtime::init::initial(exec.plan(0), 1).expect("own tensors"))
        .expect("they fit");
    for step in 0..4 {
        exec.set_input_nchw(0, &images(rng)).expect("it fits");
        let labels: Vec<u32> = (0..BATCH).map(|_| rng.range(0, 6) as u32).collect();
        exec.set_labels(0, &labels).expect("they fit");
        exec.run(0, &RunArgs { lr: 0.05, step, ..RunArgs::default() }, None).expect("it runs");
    }
    exec
}

fn classified(exec: &mut Executor, images: &[f32]) -> Vec<f32> {
    exec.set_input_nchw(0, images).expect("they fit");
    exec.run(0, &RunArgs::default(), None).expect("it runs");
    exec.output(0, "logits").expect("a network has logits")
}

/// Statistics as they are before training.
fn forgotten(params: &ParamStore) -> ParamStore {
    let mut store = ParamStore::new();
    for (name, tensor) in params.iter() {
        let fresh = match name.rsplit('.').next() {
            Some("running_mean") => Some(0.0),
            Some("running_var") => Some(1.0),
            _ => None,
        };
        let data = tensor.data.iter().map(|&v| fresh.unwrap_or(v)).collect();
        store.insert(name, tensor.shape.clone(), data);
    }
    store
}

fn assert_folded(main: &str) {
    let (spec, mut rng) = (spec(main), Rng::new(3));
    let trained = trained(&spec, &mut rng);
    let params = trained.store_params().expect("a training plan has all of them");
    let images = images(&mut rng);
    let mut exec = executor(&spec, Mode::Infer);
    assert!(exec.plan(0).slots.iter().any(|slot| slot.recipe != Recipe::Own), "nothing is folded");
    exec.load_params(&params).expect("they fit");
    let got = classified(&mut exec, &images);
    // From the training's device, where the tensors are, they come with the same bits.
    let mut copied = executor(&spec, Mode::Infer);
    copied.copy_params(&trained).expect("the same network");
    assert_eq!(classified(&mut copied, &images), got, "{main}");

    let built = build(&spec, Mode::Infer, BATCH).expect("a sound spec");
    let context = PassContext::new(UpdateRule::Sgd(SGD), 0.1, Backend::CPU);
    let (graph, _) = pass::run_list(built, &pass::front(), &context).expect("a sound graph");
    let exact = logits(&graph, &params, &images);
    assert_eq!(got.len(), exact.values.len());
    for (i, ((&g, e), bound)) in got.iter().zip(&exact.values).zip(&exact.errors).enumerate() {
        assert!((f64::from(g) - e).abs() <= *bound, "{main}: logit {i} is {g}, not {e} +- {bound:e}");
    }

    // The bound tells right from wrong: without the statistics it is exceeded.
    let wrong = logits(&graph, &forgotten(&params), &images);
    let exceeded = |((e, w), bound): ((&f64, &f64), &f64)| (e - w).abs() > *bound;
    assert!(
        exact.values.iter().zip(&wrong.values).zip(&exact.errors).any(exceeded),
        "{main}: too wide a bound"
    );
}

#[test]
fn normalisations_behind_convolutions() {
    assert_folded("conv3x3(f, stride) -> bn -> relu -> conv3x3(f, groups=2, bias) -> bn");
}

#[test]
fn normalisations_in_front_of_convolutions() {
    assert_folded("bn -> leaky_relu(0.1) -> conv3x3(f, stride, bias) -> bn -> relu -> conv1x1(f)");
}
