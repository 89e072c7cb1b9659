//! Images that grow over a training: which epoch has which, what the network is given, what goes on after an interruption.

use resnetc_compiler::ir::objective::Distillation;
use resnetc_compiler::spec::preprocess::{Fit, Interpolation, Preprocess};
use resnetc_compiler::spec::train::{Distill, Mix, Resizing, Swa};

use super::*;
use crate::cpu::CpuDevice;
use crate::data::Picture;
use crate::data::batch::Form;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, repeated};
use crate::data::transform::{Transform, Workspace};
use crate::device::Until;
use crate::exec::{Executor, RunArgs};
use crate::optim::lr_at;
use crate::train::material::Materials;

/// Of 32, in four epochs.
const SIZES: [usize; 4] = [20, 24, 28, 32];

fn growing() -> TrainConfig {
    let resizing = Resizing { initial: 0.5, delay: 0.0, finetune: 0.0, multiple: 4 };
    TrainConfig { progressive_resizing: Some(resizing), ..config() }
}

fn sizes(records: &[EpochRecord]) -> Vec<Option<[usize; 2]>> {
    records.iter().map(|record| record.size).collect()
}

fn run(config: &TrainConfig, options: Options) {
    trainer(config, options).expect("fits").run(&mut |_| ()).expect("trains");
}

#[test]
fn each_epoch_tells_its_size_and_an_interruption_changes_nothing() {
    let gathering = TrainConfig { accumulate: 2, ..growing() };
    for (config, stops) in [(growing(), &[3, 6, 8][..]), (gathering, &[2, 3, 5])] {
        let dir = folder();
        run(&config, options(dir.path()));
        let whole = state(dir.path());
        assert_eq!(sizes(&whole.1), SIZES.map(|side| Some([side; 2])));
        // Within the first size, at its end, within the second one.
        for &steps in stops {
            let dir = folder();
            stopped_after(steps, &config, options(dir.path()));
            let again = Options { start: Start::Resume, workers: 2, ..options(dir.path()) };
            run(&config, again);
            assert_eq!(whole, state(dir.path()), "after {steps} steps");
        }
    }
    let dir = folder();
    run(&config(), options(dir.path()));
    assert_eq!(sizes(&state(dir.path()).1), [None; 4], "a size that never changes is not told");
}

/// The steps of the first epoch by hand: batches of the network's own size are made and shrunk, and a plan of a network for the small size
/// runs on them, on a device of its own.
#[test]
fn a_small_epoch_is_that_of_a_network_for_small_images() {
    let mix = Mix { mixup: 0.4, cutmix: 1.0, probability: 1.0, switch: 0.5, epochs: None };
    let config = TrainConfig { mix: Some(mix), ..growing() };
    let dir = folder();
    run(&config, options(dir.path()));
    let expected = Checkpoint::load(&dir.path().join(epoch_file(1))).expect("valid").params;

    let small = TINY.replace("[3, 32, 32]", "[3, 20, 20]");
    let still = TrainConfig { progressive_resizing: None, ..config.clone() };
    let plan = |n| Arc::new(plan_of(&small, &still, &Target::new(Mode::Train, n)));
    let mut exec = Executor::new(reference(), plan(8)).expect("it loads");
    let rest = exec.add(plan(4)).expect("the same network");
    exec.load_params(&crate::init::initial(&plan(8), config.seed).expect("distributions")).expect("its own");
    let transform = Transform::new([32, 32, 3], &config.normalize, &config.augment, config.seed);
    let transform = transform.expect("three channels").mixing(config.mix).shrinking([20, 20]);
    let order = repeated(44, config.seed, 0, Rank::ONLY, 1);
    let epoch = Epoch { epoch: 0, order, batch_size: 8, first_step: 0, form: Form::Floats };
    let mut loader = Loader::start(dataset().train, Arc::new(transform), epoch, 1).expect("a thread");
    while let Some((step, batch)) = loader.next_batch().expect("all can be read") {
        assert_eq!(batch.images.len(), batch.labels.len() * 20 * 20 * 3);
        let lr = lr_at(&config, step, 6, 1.0);
        let (step, share) = (step as u64, 1.0);
        let args = RunArgs { lr, seed: config.seed, step, update: step, share, decay: 1.0 };
        let index = if batch.labels.len() == 8 { 0 } else { rest };
        exec.submit(index, &batch, Form::Floats, &args).expect("it runs");
        exec.collect(Until::All).expect("it ran");
    }
    assert!(exec.store_params().expect("they are there") == expected, "the weights differ");
}

#[test]
fn the_range_test_has_the_first_size() {
    let network = || training(TINY, 44, &growing()).expect("it fits");
    let options = RangeOptions { first: None, preprocess: None, workers: 1 };
    let range = Range { from: 0.1, to: 0.1, steps: 2 };
    let go_on = &mut |_: &RangeStep| std::ops::ControlFlow::Continue(());
    let steps = range_test(&growing(), &dataset(), network(), &options, &range, go_on).expect("it runs");
    let (dir, mut losses) = (folder(), Vec::new());
    let constant = TrainConfig { schedule: Schedule::Constant, ..growing() };
    let mut observe = |event: Event<'_>| {
        if let Event::Step(step) = event {
            losses.push((step.loss, step.size));
        }
    };
    trainer(&constant, self::options(dir.path())).expect("fits").run(&mut observe).expect("trains");
    let found: Vec<_> = steps.iter().map(|step| (step.loss, Some([20, 20]))).collect();
    assert_eq!(found, losses[..2]);
}

/// Statistics that belong to an average are those of images of the network's own size, as in a training that always had it.
#[test]
fn averages_are_finished_with_whole_images() {
    let config = TrainConfig { swa: Some(Swa { start: 3.0, lr: None }), ..growing() };
    let dir = folder();
    run(&config, options(dir.path()));
    let (last, records) = state(dir.path());
    assert!(records[3].average_loss.is_some_and(f64::is_finite), "{records:?}");
    let always = TrainConfig { progressive_resizing: None, ..config };
    let mut still = trainer(&always, options(folder().path())).expect("fits");
    let found = |store: &crate::weights::ParamStore, name: &str| store.get(name).map(|t| t.data.clone());
    let params = crate::checkpoint::load_average(&dir.path().join(LAST)).expect("an average");
    still.network.exec.load_params(&params).expect("the same network");
    let statistics = still.batch_statistics().expect("it runs").expect("nothing stops it");
    assert!(!statistics.is_empty());
    for (name, tensor) in statistics.iter() {
        assert_eq!(found(&last.optimizer, &format!("average.{name}")), Some(tensor.data.clone()), "{name}");
    }
}

/// The teacher's plans are of the network's own size alone, and take nothing smaller.
#[test]
fn a_teacher_sees_whole_images() {
    let loss = Distillation { alpha: 0.5, temperature: 4.0, hard: false };
    let distill = Some(Distill { teacher: "tiny".into(), weights: "-".into(), loss });
    let config = TrainConfig { distill, ..growing() };
    let cpu = || Arc::new(CpuDevice::new(Some(1)).expect("a thread"));
    let own = TrainConfig { distill: None, progressive_resizing: None, ..config.clone() };
    let weights = crate::init::initial(&plan(&own, Mode::Train, 1), 9).expect("it has a plan");
    let teacher = network(cpu(), &own, Mode::Infer, 44).expect("it fits").with_weights(&weights);
    let normalize = [&config.normalize, &config.normalize];
    let teacher = Teacher::new(teacher.expect("its own"), normalize, "tiny").expect("three channels");
    let pupil = network(cpu(), &config, Mode::Train, 44).expect("it fits");
    let pupil = Pupil::of(with_sizes(pupil, TINY, &config).expect("it fits"), teacher);
    let test = network(cpu(), &own, Mode::Infer, 20).expect("it fits");
    let dir = folder();
    let mut trainer = Trainer::new(&config, dataset(), pupil, test, options(dir.path())).expect("it fits");
    trainer.run(&mut |_| ()).expect("trains");
    assert_eq!(sizes(&state(dir.path()).1), SIZES.map(|side| Some([side; 2])));
}

/// Pictures of no one size: number `i` has `24 + i` rows of 30 pixels.
struct Any([String; 2]);

impl Source for Any {
    fn name(&self) -> &str {
        "any"
    }

    fn len(&self) -> usize {
        40
    }

    fn classes(&self) -> &[String] {
        &self.0
    }

    fn label(&self, index: usize) -> u32 {
        (index % 2) as u32
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        let size = [24 + index, 30, 3];
        let pixels: Vec<u8> = (0..size.iter().product()).map(|i: usize| (i * i / 7 + index) as u8).collect();
        Ok(Picture::new(size, pixels))
    }

    fn any_size(&self) -> bool {
        true
    }
}

/// They are cut to an epoch's size at once: a middle of the same part of the picture, random parts as if the network were for that size.
#[test]
fn pictures_of_any_size_are_cut_to_the_size_at_once() {
    let set = || Arc::new(Any(["ant", "bee"].map(str::to_owned)));
    let data = Dataset::new("any", set(), set()).expect("the same classes");
    let normalize = config().normalize;
    let preprocess =
        Preprocess { fit: Fit::Center { resize: 40 }, interpolation: Interpolation::Bilinear, normalize };
    let random = Augment::RandomResizedCrop { scale: [0.3, 1.0], ratio: [0.75, 1.33] };
    for augment in [vec![random], vec![Augment::Crop { padding: 2 }]] {
        let config = TrainConfig { augment, ..growing() };
        let mut network = training(TINY, 40, &config).expect("it fits");
        let materials = Materials::new(&config, &data, &mut network, Some(&preprocess)).expect("they fit");
        for (epoch, side) in SIZES.into_iter().enumerate() {
            let small = Transform::new([side, side, 3], &config.normalize, &config.augment, config.seed);
            // 40 of 32, as 25 of 20.
            let fit = Fit::Center { resize: side * 40 / 32 };
            let small = small.expect("three channels").fitting(&Preprocess { fit, ..preprocess.clone() });
            let found = &materials.of(epoch, &config).transform;
            assert!(!found.on_host(), "a device may make such images");
            for index in 0..40 {
                let made = |transform: &Transform| {
                    let mut out = vec![0.0; side * side * 3];
                    let mut workspace = Workspace::default();
                    transform
                        .apply(&*data.train, index, epoch, &mut workspace, &mut out)
                        .expect("it is read");
                    out
                };
                assert_eq!(found.len(), side * side * 3);
                assert_eq!(made(found), made(&small), "{side}, picture {index}");
            }
        }
    }
}

#[test]
fn a_size_without_plans_is_refused() {
    let train = training(TINY, 44, &config()).expect("it fits");
    let test = network(reference(), &config(), Mode::Infer, 20).expect("it fits");
    let dir = folder();
    let refused = Trainer::new(&growing(), dataset(), train, test, options(dir.path()));
    let error = refused.err().expect("no plans for 28").to_string();
    assert_eq!(error, "`tiny` has no plan for images of 28x28");
    let train = training(TINY, 44, &config()).expect("it fits");
    let plan = |_, n| Ok::<_, Error>(Arc::new(plan(&config(), Mode::Train, n)));
    let error = train.with_size([16, 16], plan).err().expect("a plan of the full size").to_string();
    assert_eq!(error, "a plan for images of 32x32 is given for 16x16");
}
