//! Whole plans for the GPU, on its emulation and on the reference: trainings step by step, and inference.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::spec::ResolvedSpec;
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::exec::{Executor, RunArgs, StepResult};
use resnetc_runtime::init::initial;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::weights::{ParamStore, Tensor};
use resnetc_tests::bounds::oracle_device;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{BOTTLENECK, DENSENET, plan_for, resolve};

const STEPS: u64 = 20;
const BATCH: usize = 8;

const RESNET20: &str = "
name: resnet20
input: [3, 32, 32]
classes: 10
stem: conv3x3(16) -> bn -> relu
unit: basic
shortcut: pad
stages: [{depth: 3, filters: 16}, {depth: 3, filters: 32, stride: 2}, {depth: 3, filters: 64, stride: 2}]
head: global_avgpool -> linear(classes)
";
const SENET: &str = "
name: senet
input: [3, 16, 16]
classes: 10
stem: conv3x3(16) -> bn -> relu
unit: se_basic
shortcut: projection
stages: [{depth: 2, filters: 16}, {depth: 2, filters: 32, stride: 2}]
head: global_avgpool -> linear(classes)
units:
  se_basic(f, stride, ratio=4): |
    main = x -> conv3x3(f, stride) -> bn -> relu -> conv3x3(f) -> bn
    gate = main -> global_avgpool -> conv1x1(f / ratio, bias) -> relu -> conv1x1(f, bias) -> sigmoid
    out  = main * gate + shortcut -> relu
";

fn emulated(choices: Choices) -> Arc<dyn Device> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Arc::new(CudaDevice::new(Arc::new(driver(folder, Threads::Fibers, choices))))
}

fn reference() -> Arc<dyn Device> {
    Arc::new(ReferenceDevice::cpu().expect("Candle's CPU"))
}

fn images(plan: &Plan, rng: &mut Rng) -> Vec<f32> {
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    (0..len).map(|_| rng.normal()).collect()
}

/// Trains with batches that show the same classes again; results of each step, and the weights at the end.
fn train(device: Arc<dyn Device>, plan: &Arc<Plan>) -> (Vec<StepResult>, ParamStore) {
    let mut executor = Executor::new(device, Arc::clone(plan)).expect("it loads");
    executor.load_params(&initial(plan, 3).expect("initial weights")).expect("its own weights");
    let mut rng = Rng::new(17);
    for step in 0..STEPS {
        let images = images(plan, &mut rng);
        let labels: Vec<u32> = (0..BATCH).map(|_| rng.range(0, 9) as u32).collect();
        let batch = Batch { images, labels, ..Batch::default() };
        let args = RunArgs { lr: 0.002, seed: 5, step, ..RunArgs::default() };
        executor.submit(0, &batch, Form::Floats, &args).expect("it runs");
    }
    let results = StepResult::all(executor.collect(Until::All).expect("all have run")).collect();
    (results, executor.store_params().expect("a training's weights"))
}

/// An error of `f32` in a forward pass is about 1e-6 of the loss, and grows with each step that starts from weights that differ.
const TOLERANCE: f32 = 1e-3;
/// How much farther than the reference in `f32` the emulation may be from the reference in `f64`: both add in orders of their own.
const FARTHER: f64 = 4.0;

/// Euclidean distance of all weights from others.
fn distance(from: &ParamStore, to: &ParamStore) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let of_tensor = |(name, tensor): (&str, &Tensor)| {
        let other = to.get(name).expect("the same tensors");
        tensor.data.iter().zip(&other.data).map(|(a, b)| square(a - b)).sum::<f64>()
    };
    from.iter().map(|(name, tensor)| of_tensor((name, tensor))).sum::<f64>().sqrt()
}

fn trains_alike(text: &str, choices: Choices) {
    let spec = resolve(text);
    let plan = plan_for(&spec, Mode::Train, BATCH, Backend::CUDA);
    let (expected, exact) = train(oracle_device(), &plan);
    let (_, single) = train(reference(), &plan);
    let (found, weights) = train(emulated(choices), &plan);
    assert_eq!(found.len(), STEPS as usize);
    for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let off = (found.loss - expected.loss).abs();
        // NaN is neither.
        assert!(off <= TOLERANCE * expected.loss, "step {step}: {found:?}, not {expected:?}");
    }
    let (off, allowed) = (distance(&weights, &exact), FARTHER * distance(&single, &exact));
    assert!(off <= allowed, "the weights are off by {off:e}, allowed is {allowed:e}");
}

#[test]
fn resnet20_trains_as_on_the_reference() {
    trains_alike(RESNET20, Choices { seed: 1, fuses: false, memory: None });
}

#[test]
fn bottlenecks_train_as_on_the_reference() {
    trains_alike(BOTTLENECK, Choices { seed: 2, fuses: true, memory: None });
}

#[test]
fn a_densenet_trains_as_on_the_reference() {
    trains_alike(DENSENET, Choices { seed: 3, fuses: false, memory: None });
}

#[test]
fn an_se_net_trains_as_on_the_reference() {
    trains_alike(SENET, Choices { seed: 4, fuses: true, memory: None });
}

/// The average of the weights after three updates of two batches each.
fn averaged(device: Arc<dyn Device>, plans: &[Arc<Plan>; 2]) -> ParamStore {
    let mut executor = Executor::new(device, Arc::clone(&plans[0])).expect("it loads");
    executor.add(Arc::clone(&plans[1])).expect("it has the same persistent tensors");
    executor.load_params(&initial(&plans[0], 3).expect("initial weights")).expect("its own weights");
    let mut rng = Rng::new(17);
    for step in 0..6 {
        let images = images(&plans[0], &mut rng);
        let labels: Vec<u32> = (0..BATCH).map(|_| rng.range(0, 9) as u32).collect();
        let batch = Batch { images, labels, ..Batch::default() };
        let (update, gathers) = (step / 2, step % 2 == 0);
        let decay = [0.0, 0.5, 0.75][update as usize];
        let args = RunArgs { lr: 0.01, seed: 5, step, update, share: 0.5, decay };
        executor.submit(usize::from(gathers), &batch, Form::Floats, &args).expect("it runs");
    }
    executor.collect(Until::All).expect("all have run");
    executor.store_average().expect("it is read").expect("the plan keeps one")
}

#[test]
fn two_batches_to_an_update_and_an_average_are_the_references() {
    let spec = resolve(&format!("{SENET}train: {{accumulate: 2, ema: {{decay: 0.9}}}}\n"));
    let plans = [StepKind::Update, StepKind::Gather].map(|step| {
        let target = Target { backend: Backend::CUDA, step, ..Target::new(Mode::Train, BATCH) };
        Arc::new(compile(&spec, &target).expect("it compiles").plan)
    });
    let (exact, single) = (averaged(oracle_device(), &plans), averaged(reference(), &plans));
    let found = averaged(emulated(Choices::default()), &plans);
    let (off, allowed) = (distance(&found, &exact), FARTHER * distance(&single, &exact));
    assert!(off <= allowed, "the average is off by {off:e}, allowed is {allowed:e}");
}

/// In bf16 single elements fall on the other side of a tie, so that one step is compared, not twenty.
#[test]
fn a_step_in_bf16_is_the_references() {
    for text in [RESNET20, BOTTLENECK, DENSENET, SENET] {
        let spec = resolve(&format!("{text}train: {{precision: bf16}}\n"));
        let plan = plan_for(&spec, Mode::Train, BATCH, Backend::CUDA);
        let step = |device| {
            let mut executor = Executor::new(device, Arc::clone(&plan)).expect("it loads");
            executor.load_params(&initial(&plan, 3).expect("initial weights")).expect("its own weights");
            let images = images(&plan, &mut Rng::new(4));
            let batch = Batch { images, labels: (1..=8).collect(), ..Batch::default() };
            let args = RunArgs { lr: 0.1, seed: 5, step: 0, ..RunArgs::default() };
            executor.submit(0, &batch, Form::Floats, &args).expect("it runs");
            executor.collect(Until::All).expect("it has run")[0]
        };
        let expected = step(reference());
        // With convolutions that leave sums for the statistics, and without.
        for fuses in [false, true] {
            let found = step(emulated(Choices { fuses, ..Choices::default() }));
            let name = &spec.name.value;
            assert!((found - expected).abs() <= 5e-3 * expected, "{name}: {found}, not {expected}");
        }
    }
}

fn logits(device: Arc<dyn Device>, spec: &ResolvedSpec, plan: &Arc<Plan>) -> Vec<f32> {
    let training = plan_for(spec, Mode::Train, BATCH, Backend::CUDA);
    let mut executor = Executor::new(device, Arc::clone(plan)).expect("it loads");
    executor.load_params(&initial(&training, 3).expect("initial weights")).expect("its own weights");
    executor.set_input_nhwc(0, &images(plan, &mut Rng::new(8))).expect("as many images");
    for _ in 0..2 {
        executor.run(0, &RunArgs::default(), None).expect("it runs");
        executor.set_input_nhwc(0, &images(plan, &mut Rng::new(9))).expect("as many images");
    }
    executor.run(0, &RunArgs::default(), None).expect("it runs");
    executor.output(0, "logits").expect("a network has logits")
}

#[test]
fn inference_is_the_references() {
    for fuses in [false, true] {
        for (precision, tolerance) in [("f32", 1e-5), ("bf16", 2e-2)] {
            for text in [RESNET20, BOTTLENECK, DENSENET, SENET] {
                let spec = resolve(&format!("{text}train: {{precision: {precision}}}\n"));
                let plan = plan_for(&spec, Mode::Infer, BATCH, Backend::CUDA);
                let found = logits(emulated(Choices { seed: 6, fuses, memory: None }), &spec, &plan);
                let expected = logits(reference(), &spec, &plan);
                let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                for (f, e) in found.iter().zip(&expected) {
                    assert!((f - e).abs() <= tolerance * largest, "{} {precision}: {f}, not {e}", plan.name);
                }
            }
        }
    }
}

/// What does not fit is refused before the first step, with a batch that fits: that one runs.
#[test]
fn memory_is_known_before_the_run() {
    let spec = resolve(BOTTLENECK);
    let of = |batch| plan_for(&spec, Mode::Train, batch, Backend::CUDA);
    let load = |plan: Arc<Plan>, memory| {
        let choices = Choices { memory: Some(memory), ..Choices::default() };
        Executor::new(emulated(choices), plan).map(|_| ()).map_err(|e| e.to_string())
    };
    let memory = 3 << 20;
    let error = load(of(64), memory).expect_err("64 images are too many");
    assert!(error.starts_with("bottleneck: a batch of 64 needs "), "{error}");
    let fit =
        error.split("A batch of ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    let fit = fit.unwrap_or_else(|| panic!("it names a batch: {error}"));
    assert!((1..64).contains(&fit), "{error}");
    assert_eq!(load(of(fit), memory), Ok(()));
    let error = load(of(64), 1000).expect_err("not even the weights have room");
    assert!(error.contains("No batch fits"), "{error}");
}
