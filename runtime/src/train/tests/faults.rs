//! What goes wrong around a training: folders that are taken, files that vanish, numbers that overflow.

use std::fs;

use super::*;
use crate::data::memory::InMemory;
use crate::data::{Picture, Source};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

#[test]
fn what_is_replaced_stays_until_the_first_checkpoint() {
    let dir = folder();
    trained(dir.path());
    let before = names(dir.path());
    let bytes = |name: &str| fs::read(dir.path().join(name)).expect("there");
    let old: Vec<Vec<u8>> = before.iter().map(|name| bytes(name)).collect();
    // It does not even begin: the folder is as it was.
    let other = TrainConfig { batch_size: 11, ..config() };
    let mut again = trainer(&other, options(dir.path())).expect("fits");
    assert_eq!(before.iter().map(|name| bytes(name)).collect::<Vec<_>>(), old);
    // Nor while its first epoch lasts.
    let mut during = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Step(StepEvent { epoch: 1, step: 2, .. }) = event {
            during = names(dir.path());
        }
    };
    again.run(&mut observe).expect("trains");
    assert_eq!(during, before);
    assert_eq!(state(dir.path()).0.progress.batch_size, 11);
    assert_eq!(state(dir.path()).1.len(), 4);
}

#[test]
fn nothing_of_the_replaced_training_is_left() {
    let dir = folder();
    trained(dir.path());
    let few = TrainConfig { epochs: 1, ..config() };
    trainer(&few, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    assert_eq!(names(dir.path()), [BEST, "epoch-001.safetensors", LAST, LOG]);
}

#[test]
fn a_training_has_its_folder_for_itself() {
    let dir = folder();
    let new = || Options { start: Start::New, ..options(dir.path()) };
    let held = trainer(&config(), new()).expect("free");
    let error = trainer(&config(), new()).err().expect("taken");
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(matches!(check_folder(dir.path(), &Start::New), Err(Error::InUse { .. })));
    drop(held);
    trainer(&config(), new()).expect("free again").run(&mut |_| ()).expect("trains");
    let error = trainer(&config(), new()).err().expect("a training");
    assert!(matches!(error, Error::HoldsTraining { .. }), "{error}");
}

#[test]
fn a_log_alone_is_no_training() {
    let dir = folder();
    fs::write(dir.path().join(LOG), "{}\n").expect("writable");
    check_folder(dir.path(), &Start::New).expect("nothing to lose");
    let error = check_folder(dir.path(), &Start::Resume).expect_err("nothing to go on from");
    assert!(matches!(error, Error::NothingToResume { .. }), "{error}");
}

#[test]
fn without_a_last_checkpoint_the_most_advanced_is_taken() {
    let dir = folder();
    let whole = trained(dir.path());
    fs::remove_file(dir.path().join(LAST)).expect("there");
    fs::remove_file(dir.path().join(epoch_file(4))).expect("there");
    fs::remove_file(dir.path().join(BEST)).expect("there");
    fs::write(dir.path().join("epoch-999.safetensors"), "no checkpoint").expect("writable");
    let resume = Options { start: Start::Resume, ..options(dir.path()) };
    let mut from = None;
    let mut observe = |event: Event<'_>| {
        if let Event::Resumed { checkpoint, epoch, .. } = event {
            from = Some((checkpoint.to_owned(), epoch));
        }
    };
    trainer(&config(), resume).expect("the third epoch's").run(&mut observe).expect("trains");
    assert_eq!(from, Some((dir.path().join(epoch_file(3)), 3)));
    assert_eq!(state(dir.path()), whole);
}

#[test]
fn stopped_between_steps_and_evaluation_it_ends_the_same() {
    let dir = folder();
    let whole = trained(dir.path());
    let dir = folder();
    // The second epoch is evaluated; its last step is the twelfth.
    let outcome = stopped_after(12, &config(), options(dir.path()));
    assert!(matches!(outcome, Outcome::Interrupted { epoch: 2, step: 0, .. }), "{outcome:?}");
    let (saved, log) = state(dir.path());
    assert!(saved.progress.open.is_some() && log.len() == 1, "{log:?}");
    let resume = Options { start: Start::Resume, ..options(dir.path()) };
    trainer(&config(), resume).expect("same training").run(&mut |_| ()).expect("trains");
    assert_eq!(state(dir.path()), whole);
}

/// Changes the last checkpoint of a training of one epoch, and trains another.
fn second_epoch_after(dir: &Path, change: impl FnOnce(&mut Checkpoint)) -> Result<(Outcome, Vec<f32>)> {
    let first = TrainConfig { epochs: 1, ..config() };
    trainer(&first, options(dir)).expect("fits").run(&mut |_| ()).expect("trains");
    let path = dir.join(LAST);
    let mut checkpoint = Checkpoint::load(&path).expect("valid");
    change(&mut checkpoint);
    let bytes = checkpoint.to_bytes().expect("serialises");
    crate::weights::file::write_atomic(&path, &bytes).expect("writable");
    let second = TrainConfig { epochs: 2, ..config() };
    let mut losses = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Step(step) = event {
            losses.push(step.loss);
        }
    };
    let resume = Options { start: Start::Resume, ..options(dir) };
    let outcome = trainer(&second, resume)?.run(&mut observe);
    assert_eq!(losses.len(), 6, "whether it ends well or not, every loss is finite");
    Ok((outcome?, losses))
}

#[test]
fn running_statistics_that_overflow_are_not_saved() {
    let dir = folder();
    // Maps so large that their variance is infinite. Normalised they are zero, so that losses and gradients stay finite.
    let error = second_epoch_after(dir.path(), |checkpoint| {
        let weight = checkpoint.params.get("stem.conv1.weight").expect("the stem's").clone();
        let large = weight.data.iter().map(|w| w * 1e22).collect();
        checkpoint.params.insert("stem.conv1.weight", weight.shape, large);
    })
    .expect_err("overflow");
    let Error::Diverged(divergence) = &error else { panic!("{error}") };
    let NotFinite::Tensor { name, tensors, .. } = &divergence.what else { panic!("{error}") };
    assert_eq!((name.as_str(), *tensors), ("stem.bn1.running_var", 1));
    assert_eq!((divergence.epoch, divergence.step), (2, 6));
    let (kept, _) = state(dir.path());
    assert_eq!(kept.progress.epoch, 1, "the checkpoint before is still there");
    assert!(error.to_string().contains("`stem.bn1.running_var` is inf after step 6 of epoch 2"), "{error}");
}

#[test]
fn a_checkpoint_of_numbers_that_are_not_finite_is_refused() {
    let dir = folder();
    let error = second_epoch_after(dir.path(), |checkpoint| {
        let var = checkpoint.params.get("stem.bn1.running_var").expect("the stem's").clone();
        checkpoint.params.insert("stem.bn1.running_var", var.shape, vec![f32::INFINITY; var.data.len()]);
    })
    .expect_err("spoiled");
    let expected = "its `stem.bn1.running_var` is inf: the training had diverged when it was written";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_log_that_cannot_be_written_costs_nothing() {
    let dir = folder();
    let whole = trained(dir.path());
    let dir = folder();
    let mut training = trainer(&config(), options(dir.path())).expect("fits");
    let mut observe = |event: Event<'_>| {
        if let Event::Step(StepEvent { epoch: 3, step: 1, .. }) = event {
            let log = dir.path().join(LOG);
            fs::remove_file(&log).expect("there");
            fs::create_dir(&log).expect("writable");
        }
    };
    let error = training.run(&mut observe).expect_err("a folder in its place");
    let Error::Saved { checkpoint, .. } = &error else { panic!("{error}") };
    assert_eq!(Checkpoint::load(checkpoint).expect("valid").progress.epoch, 3);
    drop(training);
    fs::remove_dir(dir.path().join(LOG)).expect("there");
    let resume = Options { start: Start::Resume, ..options(dir.path()) };
    trainer(&config(), resume).expect("same training").run(&mut |_| ()).expect("trains");
    assert_eq!(state(dir.path()).0, whole.0);
}

/// Pictures of which one cannot be read any more from some call on.
pub(super) struct Fading(Arc<dyn Source>, std::sync::atomic::AtomicUsize);

impl Fading {
    /// So many pictures are still to be read.
    pub fn new(source: Arc<dyn Source>, left: usize) -> Self {
        Fading(source, left.into())
    }
}

impl Source for Fading {
    fn name(&self) -> &str {
        "fading"
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        match self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.0.picture(index),
            Err(_) => Err(Error::Data(format!("picture {index} is gone"))),
        }
    }
}

#[test]
fn steps_before_a_picture_that_cannot_be_read_are_saved() {
    let dir = folder();
    let Dataset { name, train, test, .. } = dataset();
    // One for the fit, 44 for the fingerprint, the first epoch, and some of the second.
    let train: Arc<dyn Source> = Arc::new(Fading::new(train, 1 + 44 + 44 + 30));
    let data = Dataset::new(name, train, test).expect("they fit");
    let error =
        trainer_on(data, &config(), options(dir.path())).expect("fits").run(&mut |_| ()).expect_err("gone");
    let Error::Saved { error, checkpoint } = &error else { panic!("{error}") };
    assert!(error.to_string().starts_with("picture "), "{error}");
    let progress = Checkpoint::load(checkpoint).expect("valid").progress;
    assert!(progress.epoch == 1 && progress.step >= 1, "{progress:?}");
}

#[test]
fn another_network_of_the_same_tensors_is_refused_and_other_data_is_told() {
    let dir = folder();
    let of = |network: &str, start| Options { start, network: network.into(), ..options(dir.path()) };
    let few = TrainConfig { epochs: 1, ..config() };
    trainer(&few, of("a", Start::New)).expect("fits").run(&mut |_| ()).expect("trains");
    let error = trainer(&config(), of("b", Start::Resume)).err().expect("another network");
    assert!(error.to_string().contains("another network"), "{error}");
    let Dataset { name, train, test, .. } = dataset();
    let pixels = (0..44).flat_map(|i| train.picture(i).expect("drawn").pixels().to_vec());
    let mut pixels: Vec<u8> = pixels.collect();
    pixels[7] ^= 1;
    let labels = (0..44).map(|i| train.label(i)).collect();
    let altered = InMemory::new("shapes10", train.classes().into(), [32, 32, 3], pixels, labels).expect("44");
    let data = Dataset::new(name, Arc::new(altered), test).expect("they fit");
    let mut told = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Changed(change) = event {
            told.push(change.setting.clone());
        }
    };
    trainer_on(data, &config(), of("a", Start::Resume)).expect("fits").run(&mut observe).expect("trains");
    assert_eq!(told, ["epochs", "the data"]);
}

#[test]
fn only_what_is_to_be_kept_is_there() {
    let files = |keep| {
        let dir = folder();
        let config = TrainConfig { epochs: 5, keep, ..config() };
        trainer(&config, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
        let epochs = names(dir.path())
            .iter()
            .filter_map(|name| name.strip_prefix("epoch-00")?.chars().next())
            .collect();
        (epochs, dir.path().join(BEST).exists())
    };
    assert_eq!(files(Keep::default()), (String::new(), true));
    assert_eq!(files(Keep { last: 2, ..Keep::default() }), ("45".into(), true));
    assert_eq!(files(Keep { every: Some(2), best: false, last: 0 }), ("24".into(), false));
    assert_eq!(files(Keep { every: Some(2), best: false, last: 1 }), ("245".into(), false));
}
