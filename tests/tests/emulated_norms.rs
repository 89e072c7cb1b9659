//! Normalisations that are computed at once, statistics and all, on the emulated GPU: where that is done, and what comes out.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Kernel, Plan, Step};
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::engines::Engines;
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::{Executor, RunArgs, StepResult};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{DENSENET, plan_for, resolve};

const BATCH: usize = 4;
const STEPS: u64 = 4;

/// Normalisations alone, before a ReLU, and before a shortcut and a ReLU; of 8 channels and of 6, which are not aligned.
const NET: &str = "
name: small
input: [3, 8, 8]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
shortcut: projection
stages: [{depth: 2, filters: 8}, {depth: 1, filters: 6, stride: 2}]
head: global_avgpool -> linear(classes)
";

/// Units without shortcuts.
const PLAIN: &str = "
units:
  plain(f, stride): |
    out = x -> conv3x3(f, stride) -> bn -> relu -> conv3x3(f) -> bn -> relu
unit: plain";

fn plan(text: &str, precision: &str) -> Arc<Plan> {
    plan_for(&resolve(&format!("{text}train: {{precision: {precision}}}")), Mode::Train, BATCH, Backend::CUDA)
}

fn gpu() -> Emulated {
    let choices = Choices { seed: 1, ..Choices::default() };
    driver(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers, choices)
}

/// What a training came to.
struct Trained {
    results: Vec<StepResult>,
    weights: ParamStore,
    engines: Engines,
}

impl Trained {
    /// Kinds of normalisations that were computed at once, and of those that were not.
    fn norms(&self) -> [usize; 2] {
        let norms = || self.engines.chosen.iter().filter(|(work, _)| work.starts_with("norm"));
        let at_once = norms().filter(|(_, engine)| engine.is_some()).count();
        [at_once, norms().count() - at_once]
    }

    /// All running statistics.
    fn running(&self) -> Vec<f32> {
        let running = self.weights.iter().filter(|(name, _)| name.contains("running_"));
        running.flat_map(|(_, tensor)| tensor.data.iter().copied()).collect()
    }
}

fn train(gpu: Emulated, plan: &Arc<Plan>, steps: u64) -> Result<Trained, Error> {
    let device: Arc<dyn Device> = Arc::new(CudaDevice::new(Arc::new(gpu)));
    let mut executor = Executor::new(Arc::clone(&device), Arc::clone(plan))?;
    executor.load_params(&initial(plan, 3)?)?;
    let mut rng = Rng::new(5);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    for step in 0..steps {
        let images = (0..len).map(|_| rng.normal()).collect();
        let batch = Batch { images, labels: vec![0, 1, 2, 3], ..Batch::default() };
        let args = RunArgs { lr: 0.01, step, ..RunArgs::default() };
        executor.submit(0, &batch, Form::Floats, &args)?;
    }
    let results = StepResult::all(executor.collect(Until::All)?).collect();
    Ok(Trained { results, weights: executor.store_params()?, engines: device.engines()? })
}

fn statistics(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::BnStats(_))).count()
}

#[test]
fn normalisations_take_their_statistics_where_the_driver_has_that() {
    for precision in ["f32", "bf16", "fp16"] {
        let plan = plan(NET, precision);
        assert_eq!(statistics(&plan), 8, "the stem's, two of each unit, and the projection's");
        let [at_once, parts] = train(gpu().with_norms(), &plan, 1).expect("it trains").norms();
        assert!(at_once > 3 && parts == 0, "{precision}: {at_once}, {parts}");
        let [at_once, parts] = train(gpu(), &plan, 1).expect("it trains").norms();
        assert!(at_once == 0 && parts > 3, "{precision}: {at_once}, {parts}");
    }
}

/// Which is so where no result takes the place of a shortcut, and no gradient is masked by a map: there are none.
#[test]
fn then_nothing_of_theirs_is_a_pass_of_its_own() {
    let plan = plan(&NET.replace("unit: basic\nshortcut: projection", PLAIN), "f32");
    for kernel in ["bn_stats", "bn_apply", "bn_backward_reduce", "bn_backward_apply"] {
        let trained = train(gpu().with_norms().with_fault(kernel), &plan, 1).expect("it is not launched");
        assert_eq!(trained.norms()[1], 0);
        assert!(train(gpu().with_fault(kernel), &plan, 1).is_err(), "{kernel}");
    }
}

/// What would be written over its shortcut, which is the projection's result here, is left alone.
#[test]
fn results_in_the_place_of_what_is_added_stay_in_parts() {
    let plan = plan(NET, "f32");
    let in_place = |step: &&Step| match &step.kernel {
        Kernel::BnApply(k) if k.epilogue.residual => {
            plan.buffer(step.inputs[5]).offset == plan.buffer(step.outputs[0]).offset
        }
        _ => false,
    };
    assert_eq!(plan.steps.iter().filter(in_place).count(), 1, "behind the projection");
    assert!(train(gpu().with_norms().with_fault("bn_stats"), &plan, 1).is_err());
}

/// Behind a shortcut the ReLU's result masks the gradient. Where a convolution does that, the shortcut's gradient is there already, and the
/// rest is a normalisation's gradient alone.
#[test]
fn behind_shortcuts_gradients_are_computed_at_once_where_convolutions_mask_them() {
    let text = NET.replace("shortcut: projection", "").replace(", {depth: 1, filters: 6, stride: 2}", "");
    let works = |fuses| {
        let choices = Choices { seed: 1, fuses, ..Choices::default() };
        let gpu = driver(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers, choices);
        let trained = train(gpu.with_norms(), &plan(&text, "f32"), 1).expect("it trains");
        let taken = trained.engines.chosen.into_iter().filter(|(_, engine)| engine.is_some());
        let works = taken.map(|(work, _)| work).filter(|work| work.starts_with("norm backward"));
        works.collect::<Vec<String>>()
    };
    assert_eq!(works(false), ["norm backward + drelu f32 256x8"]);
    assert_eq!(works(true), ["norm backward + drelu f32 256x8", "norm backward f32 256x8"]);
}

/// Means and variances are sums of as many summands as there are rows, each of which is off by half a unit in the last place of the sum at
/// most: of the first normalisation's results that is all that there is. What a step's losses differ by comes of
/// the narrow elements that fall on the other side of a tie, and of `f32` of these sums alone.
#[test]
fn a_training_is_the_same_within_its_roundings() {
    let rows = (BATCH * 8 * 8) as f32;
    for (precision, rounding) in [("f32", rows * f32::EPSILON), ("bf16", 1.0 / 256.0), ("fp16", 1.0 / 2048.0)]
    {
        let plan = plan(NET, precision);
        let at_once = train(gpu().with_norms(), &plan, STEPS).expect("it trains");
        let parts = train(gpu(), &plan, STEPS).expect("it trains");
        assert!(at_once.engines.chosen.keys().any(|work| work.starts_with("norm backward")), "{precision}");
        assert_eq!(at_once.results.len(), STEPS as usize);
        for (step, (one, other)) in at_once.results.iter().zip(&parts.results).enumerate() {
            let off = (one.loss - other.loss).abs() / other.loss;
            // NaN is not.
            assert!(
                off <= 4.0 * f64::from(rounding) as f32,
                "{precision} step {step}: {one:?}, not {other:?}"
            );
        }
        assert_ne!(at_once.running(), initial_running(&plan), "{precision}: they took the batches in");
    }
}

fn initial_running(plan: &Plan) -> Vec<f32> {
    let weights = initial(plan, 3).expect("initial weights");
    let running = weights.iter().filter(|(name, _)| name.contains("running_"));
    running.flat_map(|(_, tensor)| tensor.data.iter().copied()).collect()
}

/// The stem's map is the same both ways, so that the mean and variance that the running ones take in differ by the order of sums alone.
#[test]
fn running_statistics_are_the_same_both_ways() {
    let plan = plan(NET, "bf16");
    let stem = |trained: &Trained| {
        let is_it = |(name, _): &(&str, _)| name.starts_with("stem") && name.ends_with("running_var");
        let found = trained.weights.iter().find(is_it).map(|(_, tensor)| tensor.data.clone());
        found.expect("the stem has a running variance")
    };
    let one = stem(&train(gpu().with_norms(), &plan, 1).expect("it trains"));
    let other = stem(&train(gpu(), &plan, 1).expect("it trains"));
    let bound = 2.0 * ((BATCH * 8 * 8) as f32 + 8.0) * f32::EPSILON / 2.0;
    for (one, other) in one.iter().zip(&other) {
        assert!((one - other).abs() <= bound * other && *other != 1.0, "{one}, not {other}");
    }
}

/// A slice of a wider map stays in parts, and what is no slice does not.
#[test]
fn slices_of_wider_maps_are_left_alone() {
    let plan = plan(DENSENET, "f32");
    let sliced = |step: &&Step| matches!(step.kernel, Kernel::BnStats(_)) && plan.gap(step.inputs[0]) > 0;
    let slices = plan.steps.iter().filter(sliced).count();
    assert!(slices > 0 && slices < statistics(&plan), "{slices} of {}", statistics(&plan));
    let [at_once, _] = train(gpu().with_norms(), &plan, 1).expect("it trains").norms();
    assert!(at_once > 0, "{at_once}");
    assert!(train(gpu().with_norms().with_fault("bn_stats"), &plan, 1).is_err(), "slices have passes");
}

/// Going on from a checkpoint, all is computed as it was before: also where that was written by whoever knew of no such thing.
#[test]
fn checkpoints_pin_both_ways() {
    let plan = plan(NET, "bf16");
    let parts = train(gpu(), &plan, 2).expect("it trains");
    let at_once = train(gpu().with_norms(), &plan, 2).expect("it trains");
    assert_ne!(at_once.weights, parts.weights, "their last bits differ");
    let pinned = |engines: &Engines| gpu().with_norms().with_engines(engines.clone()).expect("its own");
    let again = train(pinned(&parts.engines), &plan, 2).expect("it trains");
    assert_eq!((&again.weights, again.norms()[0]), (&parts.weights, 0));
    let mut older = parts.engines.clone();
    older.chosen.retain(|work, _| !work.starts_with("norm"));
    let again = train(pinned(&older), &plan, 2).expect("it trains");
    assert_eq!((&again.weights, again.norms()[0]), (&parts.weights, 0));
    let again = train(pinned(&at_once.engines), &plan, 2).expect("it trains");
    assert_eq!(again.weights, at_once.weights);
    let gone = gpu().with_engines(at_once.engines).expect("its own");
    let error = train(gone, &plan, 1).map(|_| ()).expect_err("there is no such engine").to_string();
    assert!(error.contains("the checkpoint pins `norm"), "{error}");
}
