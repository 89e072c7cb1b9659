//! From a spec's text through the compiler to a trained network on the CPU: repeatable bit for bit, also when it is
//! interrupted, and the same on the reference device.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::spec::ResolvedSpec;
use resnetc_runtime::checkpoint::Checkpoint;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::data::{Dataset, shapes10};
use resnetc_runtime::device::Device;
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init::initial;
use resnetc_runtime::metrics::EpochRecord;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::train::{BatchExecutor, Event, LAST, LOG, Options, Outcome, Start, Trainer};
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan, resolve};

/// Steps of the 44 images: two of 16 and one of 12.
const STEPS: usize = 3;

fn spec() -> ResolvedSpec {
    let text = "
name: end-to-end
input: [3, 32, 32]
classes: 10
stem: conv3x3(8, stride=2) -> bn -> relu
unit: basic
shortcut: projection
stages:
  - {depth: 1, filters: 8}
  - {depth: 1, filters: 16, stride: 2}
head: global_avgpool -> linear(classes)
train:
  dataset: shapes10
  epochs: 3
  batch_size: 16
  seed: 11
";
    resolve(text)
}

fn dataset() -> Dataset {
    shapes10::generate(shapes10::Config { train: 44, test: 20, seed: 0 })
}

/// Trains in a folder; stopped after `stop_after` steps of this call, where there are as many.
fn train(out: &Path, threads: usize, resume: bool, stop_after: usize) -> Outcome {
    let spec = spec();
    let start = if resume { Start::Resume } else { Start::New };
    let (network, stop) = (String::new(), Arc::default());
    let options = Options {
        out: out.into(),
        start,
        network,
        first: None,
        threads,
        workers: 2,
        preprocess: None,
        about: None,
        pause_after: None,
        ranks: None,
        stop,
    };
    let stop = Arc::clone(&options.stop);
    let load = |mode, images| {
        let device = Arc::new(CpuDevice::new(Some(threads)).expect("as many threads"));
        let compile = |batch| Ok::<_, Error>(plan(&spec, mode, batch));
        BatchExecutor::load(device, images, spec.train.batch_size, compile).expect("it loads")
    };
    let data = dataset();
    let (train, test) = (load(Mode::Train, data.train.len()), load(Mode::Infer, data.test.len()));
    let mut steps = 0;
    let mut observe = |event: Event<'_>| {
        if let Event::Step(_) = event {
            steps += 1;
            stop.store(steps >= stop_after, Ordering::Relaxed);
        }
    };
    let mut trainer = Trainer::new(&spec.train, data, train, test, options).expect("everything fits");
    trainer.run(&mut observe).expect("it trains")
}

/// The whole state at the end, and the log without its times.
fn state(out: &Path) -> (Checkpoint, Vec<EpochRecord>) {
    let text = std::fs::read_to_string(out.join(LOG)).expect("a log");
    let records = text.lines().map(|line| {
        let record: EpochRecord = serde_json::from_str(line).expect("an object per line");
        record.timeless()
    });
    (Checkpoint::load(&out.join(LAST)).expect("a checkpoint"), records.collect())
}

fn whole(threads: usize) -> (Checkpoint, Vec<EpochRecord>) {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = train(folder.path(), threads, false, usize::MAX);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    state(folder.path())
}

#[test]
fn the_same_seed_and_threads_train_the_same_weights_bit_for_bit() {
    for threads in [1, 2] {
        let (first, second) = (whole(threads), whole(threads));
        assert!(first == second, "{threads} threads: two trainings differ");
        let untrained = initial(&plan(&spec(), Mode::Train, 16), 11).expect("own tensors");
        assert_ne!(first.0.params, untrained);
        assert_eq!(first.1.len(), 3);
    }
}

#[test]
fn interrupted_in_mid_epoch_it_ends_as_if_it_never_stopped() {
    for threads in [1, 2] {
        let never_stopped = whole(threads);
        for steps in [1, STEPS + 2] {
            let folder = tempfile::tempdir().expect("a folder");
            let outcome = train(folder.path(), threads, false, steps);
            let (epoch, step) = (steps / STEPS, steps % STEPS);
            let checkpoint = folder.path().join(LAST);
            assert_eq!(outcome, Outcome::Interrupted { checkpoint, epoch, step });
            train(folder.path(), threads, true, usize::MAX);
            assert!(never_stopped == state(folder.path()), "{threads} threads, stopped after {steps} steps");
        }
    }
}

/// Largest distance between tensors of one name, relative to the largest element; and of which.
fn distance(a: &ParamStore, b: &ParamStore) -> (f32, String) {
    assert_eq!(a.len(), b.len());
    let apart = a.iter().map(|(name, tensor)| {
        let other = b.expect(name, &tensor.shape).expect("the same network");
        let largest = tensor.data.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        let difference = tensor.data.iter().zip(other).map(|(x, y)| (x - y).abs());
        (difference.fold(0.0, f32::max) / largest, name.to_owned())
    });
    apart.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a network has tensors")
}

/// Rounding grows with depth and steps; a wrong kernel or a tensor in the wrong layout is off by the order of 1.
const TOLERANCE: f32 = 2e-3;

#[test]
fn the_executor_gives_the_same_on_the_cpu_and_on_the_reference() {
    const BATCH: usize = 6;
    let spec = spec();
    let plan = plan(&spec, Mode::Train, BATCH);
    let cpu = CpuDevice::new(Some(2)).expect("two threads");
    let reference = ReferenceDevice::cpu().expect("the reference device");
    let devices: [Arc<dyn Device>; 2] = [Arc::new(cpu), Arc::new(reference)];
    let mut execs = devices.map(|device| Executor::new(device, Arc::clone(&plan)).expect("it loads"));
    let params = initial(&plan, 5).expect("own tensors");
    let mut rng = Rng::new(1);
    for exec in &mut execs {
        exec.load_params(&params).expect("they fit");
        assert_eq!(exec.store_params().expect("nothing is folded"), params, "{}", exec.describe());
    }
    for step in 0..3 {
        let images: Vec<f32> = (0..BATCH * 3 * 32 * 32).map(|_| rng.normal()).collect();
        let labels: Vec<u32> = (0..BATCH).map(|_| rng.range(0, 9) as u32).collect();
        for exec in &mut execs {
            exec.set_input_nhwc(0, &images).expect("they fit");
            exec.set_labels(0, &labels).expect("they fit");
            exec.run(0, &RunArgs { lr: 0.05, step, ..RunArgs::default() }, None).expect("it runs");
        }
        let [a, b] = &execs;
        let loss = |exec: &Executor| exec.scalar(0, "loss").expect("a loss");
        assert!((loss(a) - loss(b)).abs() < TOLERANCE * loss(b), "step {step}: {} and {}", loss(a), loss(b));
        let (apart, name) = distance(&b.store_params().expect("own"), &a.store_params().expect("own"));
        assert!(apart < TOLERANCE, "step {step}: {name} is off by {apart:e}");
    }
    let [a, b] = &execs;
    let (apart, name) =
        distance(&b.store_optimizer().expect("trained"), &a.store_optimizer().expect("trained"));
    assert!(apart < TOLERANCE, "the velocity of {name} is off by {apart:e}");
}
