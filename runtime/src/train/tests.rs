//! Whole trainings of a small network on the reference device: repeated, resumed, interrupted, diverged.

mod accumulate;
mod average;
mod faults;
mod half;
mod late;
mod losses;
mod optimizers;
mod patience;
mod records;
mod sizes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::loss_scale::LossScale;
use resnetc_compiler::ir::objective::Objective;
use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::ir::update::{SgdAttrs, UpdateRule};
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::train::{Augment, By, Keep, Normalize, Reading, Schedule, TrainConfig, Tta};
use resnetc_compiler::spec::{Request, ResolvedSpec, load};

use super::fit::check_fit;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::data::canvas::Canvas;
use crate::data::memory::InMemory;
use crate::data::shapes10;
use crate::data::{Dataset, Source};
use crate::device::Device;
use crate::error::{Divergence, Error, NotFinite, Result};
use crate::metrics::{EpochRecord, Sums};
use crate::reference::ReferenceDevice;
use crate::settings::Settings;

/// A plausible training configuration for the tests of this crate.
pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        dataset: Some("shapes10".into()),
        epochs: 4,
        batch_size: 8,
        accumulate: 1,
        memory_limit: None,
        parallel: Default::default(),
        auto_batch: false,
        lr: 0.1,
        optimizer: UpdateRule::Sgd(SGD),
        decay_norm: true,
        groups: Default::default(),
        clip: Vec::new(),
        schedule: Schedule::Cosine { min_lr: 0.0, by: By::Step },
        ema: None,
        swa: None,
        warmup: None,
        early_stopping: None,
        label_smoothing: 0.0,
        loss: Objective::CrossEntropy,
        class_weights: Vec::new(),
        mix: None,
        normalize: Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] },
        augment: vec![Augment::Crop { padding: 4 }, Augment::Flip { probability: 0.5 }],
        repeats: 1,
        progressive_resizing: None,
        tta: Tta::None,
        distill: None,
        evaluate_every: 2,
        checkpoint_every: 1,
        keep: Keep { every: Some(1), ..Keep::default() },
        seed: 5,
        precision: DType::F32,
        loss_scale: LossScale::default(),
        tf32: false,
        deterministic: true,
        reading: Reading::default(),
    }
}

pub(crate) const SGD: SgdAttrs =
    SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };

/// The tests' network.
const TINY: &str = "
name: tiny
input: [3, 32, 32]
classes: 10
stem: conv3x3(8, stride=4) -> bn -> relu
unit: basic
shortcut: identity
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
";

/// A plan of it in the configuration's precision.
fn plan(config: &TrainConfig, mode: Mode, batch: usize) -> Plan {
    plan_of(TINY, config, &Target::new(mode, batch))
}

/// A plan of any network.
fn plan_of(network: &str, config: &TrainConfig, target: &Target) -> Plan {
    let spec = spec_of(network, config);
    let backend = Backend::that_multiplies_in(config.precision);
    compile(&spec, &Target { backend, ..target.clone() }).expect("it compiles").plan
}

/// The network with that training.
fn spec_of(network: &str, config: &TrainConfig) -> ResolvedSpec {
    let none = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_owned()));
    let limits = Limits::default();
    let request = Request { name: "tiny.yaml", text: network, overrides: &[], read: &none, limits };
    let mut spec = load(&request, &mut SourceMap::default()).expect("the spec is right");
    spec.train = config.clone();
    spec
}

/// The training plan of the tests' network.
pub(crate) fn tiny_plan(n: usize) -> Plan {
    plan(&config(), Mode::Train, n)
}

/// 44 images: five steps of eight and one of four.
fn dataset() -> Dataset {
    shapes10::generate(shapes10::Config { train: 44, test: 20, seed: 0 })
}

fn options(out: &Path) -> Options {
    Options {
        out: out.into(),
        start: Start::Replace,
        network: String::new(),
        first: None,
        threads: 1,
        workers: 1,
        preprocess: None,
        about: None,
        stop: Arc::default(),
        pause_after: None,
        ranks: None,
    }
}

fn trainer(config: &TrainConfig, options: Options) -> Result<Trainer> {
    trainer_on(dataset(), config, options)
}

fn trainer_on(data: Dataset, config: &TrainConfig, options: Options) -> Result<Trainer> {
    trainer_of(TINY, data, config, options)
}

fn trainer_of(network: &str, data: Dataset, config: &TrainConfig, options: Options) -> Result<Trainer> {
    let train = training(network, data.train.len(), config)?;
    let device = Arc::new(ReferenceDevice::cpu()?);
    let plan = |n| Ok::<_, Error>(Arc::new(plan_of(network, config, &Target::new(Mode::Infer, n))));
    let test = BatchExecutor::load(device, data.test.len(), config.batch_size, plan)?;
    Trainer::new(config, data, train, test, options)
}

/// All plans that a training on so many images needs.
fn training(network: &str, images: usize, config: &TrainConfig) -> Result<BatchExecutor> {
    let plan = |target: &Target| Ok::<_, Error>(Arc::new(plan_of(network, config, target)));
    let whole = |n| plan(&Target::new(Mode::Train, n));
    let device = Arc::new(ReferenceDevice::cpu()?);
    let mut train = BatchExecutor::load(device, images, config.batch_size, whole)?;
    if config.accumulate > 1 {
        let gathers = |n| plan(&Target { step: StepKind::Gather, ..Target::new(Mode::Train, n) });
        train = train.gathering(gathers)?;
    }
    if config.swa.is_some() {
        let finds = |n| plan(&Target { step: StepKind::Statistics, ..Target::new(Mode::Train, n) });
        train = train.finding_statistics(finds)?;
    }
    with_sizes(train, network, config)
}

/// Adds the plans for images of other sizes than the network's own.
fn with_sizes(mut train: BatchExecutor, network: &str, config: &TrainConfig) -> Result<BatchExecutor> {
    let spec = spec_of(network, config);
    let [_, own @ ..] = spec.input.value;
    for size in config.sizes(own).into_iter().filter(|&size| size != own) {
        let small = resnetc_compiler::sizes::at_size(&spec, size);
        train = train.with_size(size, |step, n| {
            let target = Target { step, ..Target::new(Mode::Train, n) };
            Ok::<_, Error>(Arc::new(compile(&small, &target).expect("it compiles").plan))
        })?;
    }
    Ok(train)
}

fn reference() -> Arc<dyn Device> {
    Arc::new(ReferenceDevice::cpu().expect("it needs nothing"))
}

/// The tests' network on a device, for a pass over so many images.
fn network(
    device: Arc<dyn Device>,
    config: &TrainConfig,
    mode: Mode,
    images: usize,
) -> Result<BatchExecutor> {
    let plan = |n| Ok::<_, Error>(Arc::new(plan(config, mode, n)));
    BatchExecutor::load(device, images, config.batch_size, plan)
}

/// A training that is stopped after so many steps.
fn stopped_after(steps: usize, config: &TrainConfig, options: Options) -> Outcome {
    let stop = Arc::clone(&options.stop);
    let mut left = steps;
    let mut observe = |event: Event<'_>| {
        if let Event::Step(_) = event {
            left -= 1;
            stop.store(left == 0, Ordering::Relaxed);
        }
    };
    trainer(config, options).expect("fits").run(&mut observe).expect("stops")
}

/// The whole training in a folder: its last checkpoint, and its log without times.
fn trained(dir: &Path) -> (Checkpoint, Vec<EpochRecord>) {
    let outcome = trainer(&config(), options(dir)).expect("fits").run(&mut |_| ()).expect("trains");
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    state(dir)
}

fn state(dir: &Path) -> (Checkpoint, Vec<EpochRecord>) {
    let text = std::fs::read_to_string(dir.join(LOG)).expect("a log");
    let records = text.lines().map(|line| {
        let record: EpochRecord = serde_json::from_str(line).expect("one object per line");
        record.timeless()
    });
    (Checkpoint::load(&dir.join(LAST)).expect("valid"), records.collect())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temp folder")
}

#[test]
fn the_same_seed_trains_the_same_weights_and_the_loss_falls() {
    let (a, b) = (folder(), folder());
    let (first, log) = trained(a.path());
    assert_eq!((&first, &log), (&trained(b.path()).0, &trained(b.path()).1));
    assert_eq!(log.iter().map(|r| r.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(log.iter().map(|r| r.test_accuracy.is_some()).collect::<Vec<_>>(), [false, true, false, true]);
    assert!(log[3].train_loss < log[0].train_loss, "{log:?}");
    assert_eq!((first.progress.epoch, first.progress.step), (4, 0));
    let other = TrainConfig { seed: 6, ..config() };
    trainer(&other, options(b.path())).expect("fits").run(&mut |_| ()).expect("trains");
    assert_ne!(first.params, state(b.path()).0.params);
    for name in ["epoch-001.safetensors", "epoch-004.safetensors", BEST] {
        assert!(a.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn resumed_from_an_epochs_checkpoint_it_ends_bit_for_bit_the_same() {
    let dir = folder();
    let whole = trained(dir.path());
    for epoch in 1..=3 {
        let start = Start::From(dir.path().join(epoch_file(epoch)));
        let options = Options { start, ..options(dir.path()) };
        trainer(&config(), options).expect("same training").run(&mut |_| ()).expect("trains");
        assert_eq!(whole, state(dir.path()), "from epoch {epoch}");
    }
}

#[test]
fn interrupted_at_any_step_it_ends_bit_for_bit_the_same() {
    let dir = folder();
    let whole = trained(dir.path());
    // Within an epoch, before its last step, after it (that is, after the epoch).
    for steps in [1, 8, 11, 12] {
        let dir = folder();
        let outcome = stopped_after(steps, &config(), options(dir.path()));
        let checkpoint = dir.path().join(LAST);
        let expected =
            Outcome::Interrupted { checkpoint: checkpoint.clone(), epoch: steps / 6, step: steps % 6 };
        assert_eq!(outcome, expected);
        let options = Options { start: Start::Resume, workers: 2, ..self::options(dir.path()) };
        let mut resumed = trainer(&config(), options).expect("same training");
        let mut first = None;
        let mut observe = |event: Event<'_>| {
            if let Event::Resumed { epoch, step, .. } = event {
                first = Some((epoch, step));
            }
        };
        resumed.run(&mut observe).expect("trains");
        assert_eq!(first, Some((steps / 6, steps % 6)));
        assert_eq!(whole, state(dir.path()), "after {steps} steps");
    }
}

#[test]
fn a_training_that_pauses_is_evaluated_and_ends_bit_for_bit_the_same() {
    let config = TrainConfig { evaluate_every: 4, ..config() };
    let [whole, parts] = [folder(), folder()];
    trainer(&config, options(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let start = |start, pause_after| Options { start, pause_after, ..options(parts.path()) };
    let paused =
        trainer(&config, start(Start::New, Some(3))).expect("fits").run(&mut |_| ()).expect("pauses");
    assert!(matches!(paused, Outcome::Interrupted { epoch: 3, step: 0, .. }), "{paused:?}");
    let (checkpoint, log) = state(parts.path());
    assert_eq!(log.iter().map(|r| r.test_accuracy.is_some()).collect::<Vec<_>>(), [false, false, true]);
    assert!(checkpoint.progress.best.is_some());
    trainer(&config, start(Start::Resume, None)).expect("goes on").run(&mut |_| ()).expect("trains");
    let weights = |dir: &Path| state(dir).0.params;
    assert_eq!(weights(whole.path()), weights(parts.path()));
    let outcome =
        trainer(&config, start(Start::Resume, Some(2))).expect("fits").run(&mut |_| ()).expect("is done");
    assert!(matches!(outcome, Outcome::Finished { .. }), "there is nothing to pause");
}

#[test]
fn a_resumed_training_with_other_settings_tells_them() {
    let dir = folder();
    trained(dir.path());
    let start = Start::From(dir.path().join(epoch_file(2)));
    let slower = TrainConfig { lr: 0.05, ..config() };
    for (config, expected) in [(config(), vec![]), (slower, vec![("lr", "0.1", "0.05")])] {
        let options = Options { start: start.clone(), ..options(dir.path()) };
        let mut told = Vec::new();
        let mut observe = |event: Event<'_>| {
            if let Event::Changed(change) = event {
                told.push(change.clone());
            }
        };
        trainer(&config, options).expect("same training").run(&mut observe).expect("trains");
        let told: Vec<_> = told.iter().map(|c| (c.setting.as_str(), c.was.as_str(), c.is.as_str())).collect();
        assert_eq!(told, expected);
        // What is saved is what it was trained with last.
        assert_eq!(state(dir.path()).0.progress.settings, Settings::of(&config));
    }
}

#[test]
fn a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint() {
    let dir = folder();
    // The first epoch warms up at a rate of zero; the second explodes.
    let warmup = resnetc_compiler::spec::train::Warmup { length: 1, by: By::Epoch, from: 0.0 };
    let wild = TrainConfig { lr: 1e30, warmup: Some(warmup), schedule: Schedule::Constant, ..config() };
    let error = trainer(&wild, options(dir.path())).expect("fits").run(&mut |_| ()).expect_err("diverges");
    let good = dir.path().join(LAST);
    let Error::Diverged(divergence) = &error else { panic!("{error}") };
    let Divergence { what, epoch, step, last_good, .. } = &**divergence;
    assert!(matches!(what, NotFinite::Loss(loss) if !loss.is_finite()), "{error}");
    assert!(*epoch == 2 && *step > 1, "{error}");
    assert_eq!(last_good.as_ref(), Some(&good));
    assert!(
        error.to_string().ends_with("lower `train.optimizer.lr`, or lengthen `train.warmup`."),
        "{error}"
    );
    assert!(error.to_string().contains("last good checkpoint is"), "{error}");
    let kept = Checkpoint::load(&good).expect("untouched").params;
    assert!(kept.iter().all(|(_, t)| t.data.iter().all(|v| v.is_finite())));
}

#[test]
fn data_that_do_not_fit_and_folders_that_cannot_be_made_are_refused() {
    let black = |side: usize, label: u32| {
        let classes: Vec<String> = (0..=label).map(|class| class.to_string()).collect();
        InMemory::new("black", classes.into(), [side, side, 3], vec![0; side * side * 3], vec![label])
    };
    let plan = tiny_plan(8);
    let fault = |source: Result<InMemory>| {
        check_fit(&plan, &source.expect("one picture"), false).expect_err("it does not fit").to_string()
    };
    let expected = "the images are 3x16x16, network `tiny` takes 3x32x32: write `input: [3, 16, 16]` in its spec, or `--set \
                    'input=[3, 16, 16]'`";
    assert_eq!(fault(black(16, 0)), expected);
    let expected = "the images have 100 classes, network `tiny` has 10: set `classes` in its spec";
    assert_eq!(fault(black(32, 99)), expected);
    let none = || shapes10::generate(shapes10::Config { train: 44, test: 0, seed: 0 });
    let error = trainer_on(none(), &config(), options(folder().path())).err().expect("no test images");
    assert_eq!(error.to_string(), "shapes10 has no images to train or to test on");
    let dir = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let error = trainer(&config(), options(&file.join("out"))).err().expect("below a file").to_string();
    assert!(error.contains("file/out"), "{error}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let dir = folder();
    let out = dir.path().join("out");
    let whole = trained(&out);
    let mut again = trainer(&config(), options(&out)).expect("fits");
    // The folder disappears while training.
    std::fs::rename(&out, dir.path().join("moved")).expect("writable");
    let error = again.run(&mut |_| ()).expect_err("no folder").to_string();
    assert!(error.contains("out"), "{error}");
    assert_eq!(Checkpoint::load(&dir.path().join("moved").join(LAST)).expect("untouched"), whole.0);
}

/// What a network of random weights makes of pictures.
fn evaluated(config: &TrainConfig, source: Arc<dyn Source>) -> Sums {
    let device = Arc::new(ReferenceDevice::cpu().expect("a CPU"));
    let compile = |n| Ok::<_, Error>(Arc::new(plan(config, Mode::Infer, n)));
    let network = BatchExecutor::load(device, source.len(), 8, compile).expect("it loads");
    let params = crate::init::initial(&tiny_plan(1), 5).expect("distributions");
    let mut evaluator = Evaluator::new(network, source, (config, None), 2).expect("they fit");
    evaluator.evaluate(&params, &mut |_| ()).expect("it runs")
}

/// The same pictures, left and right exchanged.
fn mirrored(source: &dyn Source) -> Arc<dyn Source> {
    let mut canvas = Canvas::default();
    let mut pixels = Vec::new();
    for index in 0..source.len() {
        canvas.load(&source.picture(index).expect("it is made"));
        canvas.mirror();
        pixels.extend_from_slice(canvas.pixels());
    }
    let labels = (0..source.len()).map(|index| source.label(index)).collect();
    let set = InMemory::new("mirrored", source.classes().into(), canvas.size(), pixels, labels);
    Arc::new(set.expect("as many labels"))
}

#[test]
fn evaluation_of_mirror_images_too_does_not_tell_left_from_right() {
    let test = dataset().test;
    let twice = TrainConfig { tta: Tta::Flip, ..config() };
    let both =
        |config: &TrainConfig| [&test, &mirrored(&*test)].map(|set| evaluated(config, Arc::clone(set)).loss);
    let [once, other] = both(&config());
    assert!((once - other).abs() > 1e-3, "{once}, {other}");
    let [sum, same] = both(&twice);
    // Sums of two numbers in another order; the loss is convex, so that of mean logits is at most the mean loss.
    assert!((sum - same).abs() <= 1e-9 * sum, "{sum}, {same}");
    assert!(sum <= (once + other) / 2.0 + 1e-6, "{sum}, {once}, {other}");
}
