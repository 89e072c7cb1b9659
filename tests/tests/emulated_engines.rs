//! Engines that a checkpoint pins, on the emulated GPU: its convolutions take in what comes behind them, or do not.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::engines::Engines;
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan_for, resolve};

const BATCH: usize = 4;

/// The gradient of a unit's input is a convolution's result and the shortcut's gradient: a sum that some engines take in.
const NET: &str = "
name: small
input: [3, 8, 8]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
stages: [{depth: 2, filters: 8}]
head: global_avgpool -> linear(classes)
";

fn plan(train: &str) -> Arc<Plan> {
    plan_for(&resolve(&format!("{NET}{train}")), Mode::Train, BATCH, Backend::CUDA)
}

fn device(fuses: bool, pinned: Engines) -> Arc<dyn Device> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let gpu = driver(folder, Threads::Fibers, Choices { seed: 1, fuses, memory: None });
    let gpu = gpu.with_engines(pinned).expect("the emulation's own");
    Arc::new(CudaDevice::new(Arc::new(gpu)))
}

/// Loads the plan, trains a step, and gives engines and weights.
fn trained(fuses: bool, pinned: Engines, plan: &Arc<Plan>) -> Result<(Engines, ParamStore), Error> {
    let device = device(fuses, pinned);
    let mut executor = Executor::new(Arc::clone(&device), Arc::clone(plan))?;
    executor.load_params(&initial(plan, 3)?)?;
    let mut rng = Rng::new(5);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    let images = (0..len).map(|_| rng.normal()).collect();
    let batch = Batch { images, labels: vec![0, 1, 2, 3], ..Batch::default() };
    executor.submit(0, &batch, Form::Floats, &RunArgs { lr: 0.1, ..RunArgs::default() })?;
    executor.collect(Until::All)?;
    Ok((device.engines()?, executor.store_params()?))
}

/// How many convolutions had no engine that takes in all that they could. Normalisations are computed in parts here.
fn without(engines: &Engines) -> usize {
    let chosen = engines.chosen.iter();
    chosen.filter(|(work, engine)| work.starts_with("conv") && engine.is_none()).count()
}

#[test]
fn a_pinned_work_stays_in_parts_where_it_was_done_in_parts() {
    let plan = plan("");
    let (pinned, weights) = trained(false, Engines::default(), &plan).expect("it trains");
    assert!(without(&pinned) > 0 && without(&pinned) < pinned.chosen.len(), "{pinned:?}");
    let (free, _) = trained(true, Engines::default(), &plan).expect("it trains");
    assert_eq!(without(&free), 0, "{free:?}");
    let (again, same) = trained(true, pinned.clone(), &plan).expect("it trains");
    assert_eq!((again, same), (pinned, weights), "the same engines, and the same bits");
}

/// Where statistics come by sums of their own or by those that convolutions leave, last bits differ. Checkpoints from before there were such
/// convolutions name the others alone.
#[test]
fn convolutions_leave_their_sums_where_the_checkpoint_has_it_so() {
    let plan = plan("train: {precision: bf16}");
    let (parts, weights) = trained(false, Engines::default(), &plan).expect("it trains");
    let (fused, others) = trained(true, Engines::default(), &plan).expect("it trains");
    assert_eq!(without(&fused), 0, "{fused:?}");
    assert_ne!(weights, others, "sums in another order");
    assert_eq!(trained(true, fused.clone(), &plan).expect("it trains"), (fused, others));
    assert_eq!(trained(true, parts.clone(), &plan).expect("it trains"), (parts.clone(), weights.clone()));
    let mut before = parts;
    before.chosen.retain(|work, _| !work.contains("+ stats"));
    assert_eq!(trained(true, before, &plan).expect("it trains").1, weights);
}

#[test]
fn a_pinned_engine_that_is_gone_is_named_with_the_ways_out() {
    let plan = plan("");
    let (pinned, _) = trained(true, Engines::default(), &plan).expect("it trains");
    let error = trained(false, pinned, &plan).expect_err("nothing is fused there").to_string();
    for word in ["pins `conv 1x1 8x1x1 -> 4x1x1 bias, n 4` to the reference's convolution", "`--new-engines`"]
    {
        assert!(error.contains(word), "{error} lacks {word}");
    }
}

#[test]
fn what_need_not_be_deterministic_pins_nothing_and_is_not_pinned() {
    let free = plan("train: {deterministic: false}");
    let (pinned, _) = trained(true, Engines::default(), &plan("")).expect("it trains");
    let (none, _) = trained(false, pinned, &free).expect("pins do not hold here");
    assert_eq!(none, Engines { of: "the emulated GPU".to_owned(), ..Engines::default() });
}
