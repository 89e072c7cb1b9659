//! Sessions of one device share its weights, and run at the same time.

use std::sync::Arc;
use std::thread;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::device::{Device, ProgramId};
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan, resolve};

const SPEC: &str = "\
name: shared
input: [3, 16, 16]
classes: 100
stem: conv3x3(32) -> bn -> relu
unit: basic
shortcut: projection
stages: [{depth: 1, filters: 64, stride: 2}]
head: global_avgpool -> linear(classes)
";

const PIXELS: usize = 3 * 16 * 16;

/// A device with weights and a plan for a batch.
fn loaded(device: Arc<dyn Device>, batch: usize) -> (Executor, ProgramId, Arc<Plan>) {
    let spec = resolve(SPEC);
    let plan = plan(&spec, Mode::Infer, batch);
    let program = device.load(Arc::clone(&plan)).expect("it loads");
    let executor = Executor::attached(device, program, Arc::clone(&plan)).expect("there is memory");
    let weights = initial(&resnetc_tests::specs::plan(&spec, Mode::Train, 1), 1).expect("own tensors");
    executor.load_params(&weights).expect("its own weights");
    (executor, program, plan)
}

fn images(seed: u64, batch: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..batch * PIXELS).map(|_| rng.normal()).collect()
}

fn logits(executor: &mut Executor, images: &[f32]) -> Vec<f32> {
    executor.set_input_nhwc(0, images).expect("they fit");
    executor.run(0, &RunArgs::default(), None).expect("it runs");
    executor.output(0, "logits").expect("a network has logits")
}

/// Two sessions on two threads, many runs each; what they answer is what one session alone answers.
fn run_at_once(device: Arc<dyn Device>, runs: u64) {
    let (mut alone, program, plan) = loaded(Arc::clone(&device), 2);
    let expected: Vec<Vec<f32>> = (0..2 * runs).map(|seed| logits(&mut alone, &images(seed, 2))).collect();
    let work = |first: u64| {
        let mut own = Executor::attached(Arc::clone(&device), program, Arc::clone(&plan)).expect("memory");
        (first..2 * runs).step_by(2).map(|seed| logits(&mut own, &images(seed, 2))).collect::<Vec<_>>()
    };
    let (even, odd) = thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        (work(0), other.join().expect("it does not panic"))
    });
    for (seed, expected) in expected.iter().enumerate() {
        let found = if seed % 2 == 0 { &even[seed / 2] } else { &odd[seed / 2] };
        assert!(found == expected, "{}: images {seed}", device.describe());
    }
}

#[test]
fn two_sessions_answer_at_the_same_time() {
    run_at_once(Arc::new(CpuDevice::new(Some(2)).expect("two threads")), 16);
    run_at_once(Arc::new(ReferenceDevice::cpu().expect("Candle's CPU")), 1);
}

/// What is written through one session's device is what all others read.
#[test]
fn new_weights_are_seen_by_every_session() {
    let (mut first, program, plan) = loaded(Arc::new(CpuDevice::new(Some(1)).expect("a thread")), 1);
    let device = first.device();
    let mut second = Executor::attached(device, program, plan).expect("there is memory");
    let images = images(5, 1);
    let before = logits(&mut first, &images);
    assert_eq!(logits(&mut second, &images), before);
    let other = initial(&resnetc_tests::specs::plan(&resolve(SPEC), Mode::Train, 1), 2).expect("own tensors");
    first.load_params(&other).expect("its own weights");
    let after = logits(&mut second, &images);
    assert_ne!(after, before);
    assert_eq!(logits(&mut first, &images), after);
}

#[test]
fn a_plan_that_is_not_open_does_not_run() {
    let device = Arc::new(CpuDevice::new(Some(1)).expect("a thread"));
    let program = device.load(plan(&resolve(SPEC), Mode::Infer, 1)).expect("it loads");
    let mut session = Arc::clone(&device).session().expect("a thread");
    let error = session.run(program, None).expect_err("it has no arena").to_string();
    assert!(error.contains("not open in this session"), "{error}");
    session.open(program).expect("there is memory");
    session.run(program, None).expect("it runs");
}
