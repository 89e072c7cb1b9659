//! Several batches to one update: what is learnt is what one large batch teaches, and what stops on the way goes on the same.

use resnetc_compiler::ir::clip::Clip;

use super::faults::Fading;
use super::*;

/// Without a batch normalisation, which would see other batches.
const PLAIN: &str = "
name: plain
input: [3, 32, 32]
classes: 10
stem: conv3x3(8, stride=4, bias) -> relu
unit: two
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
units:
  two(f): |
    out = (x -> conv3x3(f, bias) -> relu) + shortcut
";

/// 44 images: updates of 32 and of 12.
fn learnt(config: &TrainConfig) -> (Checkpoint, Vec<f32>) {
    let dir = folder();
    let mut losses = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Step(step) = event {
            losses.push(step.loss);
        }
    };
    let mut trainer = trainer_of(PLAIN, dataset(), config, options(dir.path())).expect("fits");
    trainer.run(&mut observe).expect("trains");
    (state(dir.path()).0, losses)
}

/// Sums of 32 images in another order: `32 u` of a gradient for each of eight updates, in which a rate of 0.05 with momentum makes
/// differences grow no faster than the weights. The tolerance is `8 * 32 * 2^-24`, relative to the largest element, times 8 for layers.
#[test]
fn four_batches_of_eight_teach_what_one_of_32_does() {
    let clip = vec![Clip::Norm(0.5)];
    let large = TrainConfig { batch_size: 32, lr: 0.05, clip, ..config() };
    let small = TrainConfig { batch_size: 8, accumulate: 4, ..large.clone() };
    let ((whole, losses), (parts, sums)) = (learnt(&large), learnt(&small));
    assert_eq!((losses.len(), sums.len()), (8, 8), "two updates an epoch");
    for (a, b) in losses.iter().zip(&sums) {
        assert!((a - b).abs() <= 1e-4 * a, "{losses:?}, {sums:?}");
    }
    let first =
        crate::init::initial(&plan_of(PLAIN, &large, &Target::new(Mode::Train, 8)), 5).expect("there");
    for (name, tensor) in whole.params.iter() {
        let other = &parts.params.get(name).expect("the same tensors").data;
        let largest = tensor.data.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let apart = tensor.data.iter().zip(other).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart <= 1.3e-4 * largest, "{name}: {apart} of {largest}");
        assert_ne!(tensor.data, first.get(name).expect("the same tensors").data, "{name} is trained");
    }
    assert!(
        parts.optimizer.iter().all(|(name, _)| !name.starts_with("gradient_sum")),
        "zero between updates"
    );
}

#[test]
fn interrupted_at_any_update_it_ends_bit_for_bit_the_same() {
    let plain = TrainConfig { accumulate: 4, epochs: 3, ..config() };
    let half = TrainConfig { precision: DType::F16, clip: vec![Clip::Norm(1.0)], ..plain.clone() };
    [plain, half].iter().for_each(goes_on);
}

fn goes_on(config: &TrainConfig) {
    let whole = folder();
    trainer(config, options(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let (last, log) = state(whole.path());
    assert!(log[2].train_loss < log[0].train_loss, "{log:?}");
    // A step of half precision that is left out empties the sum as others do.
    assert!(last.optimizer.iter().all(|(name, _)| !name.starts_with("gradient_sum")));
    for updates in [1, 3, 4] {
        let dir = folder();
        let outcome = stopped_after(updates, config, options(dir.path()));
        let told =
            Outcome::Interrupted { checkpoint: dir.path().join(LAST), epoch: updates / 2, step: updates % 2 };
        assert_eq!(outcome, told);
        let options = Options { start: Start::Resume, ..options(dir.path()) };
        trainer(config, options).expect("the same training").run(&mut |_| ()).expect("trains");
        assert_eq!(state(whole.path()), state(dir.path()), "after {updates} updates");
    }
}

/// An error may strike between the batches of an update: what is summed so far is saved, too.
#[test]
fn after_an_error_within_an_update_it_ends_bit_for_bit_the_same() {
    let config = TrainConfig { accumulate: 3, epochs: 2, augment: Vec::new(), ..config() };
    let data = |left: usize| {
        let Dataset { name, train, test, .. } = dataset();
        Dataset::new(name, Arc::new(Fading::new(train, left)), test).expect("they fit")
    };
    let of = |dir: &Path, start| Options { start, ..options(dir) };
    let (whole, dir) = (folder(), folder());
    let mut trainer = trainer_on(data(usize::MAX), &config, of(whole.path(), Start::New)).expect("fits");
    trainer.run(&mut |_| ()).expect("trains");
    // One for the fit, 44 for the fingerprint, the first epoch, and four batches of eight of the second.
    let mut trainer = trainer_on(data(1 + 44 + 44 + 33), &config, of(dir.path(), Start::New)).expect("fits");
    let error = trainer.run(&mut |_| ()).expect_err("a picture is gone");
    let Error::Saved { checkpoint, .. } = &error else { panic!("{error}") };
    let saved = Checkpoint::load(checkpoint).expect("valid");
    assert_eq!((saved.progress.epoch, saved.progress.step), (1, 4), "within the second update");
    assert!(saved.optimizer.get("gradient_sum.stem.conv1.weight").is_some());
    drop(trainer);
    let mut trainer = trainer_on(data(usize::MAX), &config, of(dir.path(), Start::Resume)).expect("the same");
    trainer.run(&mut |_| ()).expect("trains");
    assert_eq!(state(whole.path()), state(dir.path()));
}

#[test]
fn another_number_of_batches_is_another_training() {
    let dir = folder();
    let config = TrainConfig { epochs: 2, ..config() };
    stopped_after(8, &config, options(dir.path()));
    let options = Options { start: Start::Resume, ..options(dir.path()) };
    let error = trainer(&TrainConfig { accumulate: 2, ..config }, options).err().expect("another training");
    assert!(error.to_string().contains("`accumulate` 1, not 2"), "{error}");
}

/// Rates are counted by updates: two an epoch.
#[test]
fn schedules_count_updates() {
    let config = TrainConfig { accumulate: 4, epochs: 2, ..config() };
    let dir = folder();
    let mut rates = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Step(step) = event {
            rates.push((step.step, step.steps, step.lr));
        }
    };
    trainer(&config, options(dir.path())).expect("fits").run(&mut observe).expect("trains");
    let rate = |update| crate::optim::lr_at(&config, update, 2, 1.0);
    assert_eq!(rates, [(1, 2, rate(0)), (2, 2, rate(1)), (1, 2, rate(2)), (2, 2, rate(3))]);
}

/// Three updates at three rates, in two epochs, as those of batches four times as large.
#[test]
fn steps_of_the_range_test_are_updates() {
    let losses = |config: &TrainConfig| {
        let network = training(PLAIN, 44, config).expect("it loads");
        let options = RangeOptions { first: None, preprocess: None, workers: 1 };
        let range = Range { from: 1e-3, to: 1e-1, steps: 3 };
        let go_on = &mut |_: &RangeStep| std::ops::ControlFlow::Continue(());
        let steps = range_test(config, &dataset(), network, &options, &range, go_on).expect("it runs");
        steps.iter().map(|step| step.loss).collect::<Vec<f32>>()
    };
    let large = TrainConfig { batch_size: 32, ..config() };
    let (whole, sums) =
        (losses(&large), losses(&TrainConfig { batch_size: 8, accumulate: 4, ..large.clone() }));
    assert_eq!((whole.len(), sums.len()), (3, 3));
    // As above: sums of 32 images in another order, through three updates.
    assert!(whole.iter().zip(&sums).all(|(a, b)| (a - b).abs() <= 1e-4 * a), "{whole:?}, {sums:?}");
}
