//! Several ranks train one network: the same as one process with the batches of all, and the same bits in each run.

use std::path::Path;
use std::sync::Arc;

use resnetc::train::{Event, Outcome, Start};
use resnetc::{DeviceOptions, Spec, SpecOptions, Trainer};
use resnetc_runtime::checkpoint::Checkpoint;
use resnetc_runtime::data::memory::InMemory;
use resnetc_runtime::data::{Dataset, shapes10};
use resnetc_runtime::metrics::EpochRecord;
use resnetc_runtime::ranks::Collective;
use resnetc_runtime::train::{LAST, LOG};
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::together::{bits, difference, on_ranks};

const NETWORK: &str = "
name: shared
input: [3, 32, 32]
classes: 10
stem: conv3x3(8, stride=4) -> bn -> relu
unit: basic
shortcut: projection
stages:
  - {depth: 1, filters: 8}
  - {depth: 1, filters: 16, stride: 2}
head: global_avgpool -> linear(classes)
train:
  dataset: shapes10
  epochs: 2
  batch_size: 8
  seed: 11
  augment: [{crop: {padding: 4}}, flip]
";

/// So many images to train on, a quarter of them to test on.
fn dataset(images: usize) -> Dataset {
    shapes10::generate(shapes10::Config { train: images, test: images / 4 + 3, seed: 0 })
}

/// One image, so many times: whoever has it, and when, its gradient is the same.
fn alike(images: usize) -> Dataset {
    let Dataset { train, test, .. } = dataset(1);
    let picture = train.picture(0).expect("it is drawn");
    let pixels = picture.pixels().repeat(images);
    let same = InMemory::new("alike", train.classes().into(), picture.size(), pixels, vec![0; images]);
    Dataset::new("shapes10", Arc::new(same.expect("as many pixels")), test).expect("the same classes")
}

fn spec(set: &[&str]) -> Spec {
    let options = set.iter().fold(SpecOptions::default(), |options, value| options.set(*value));
    Spec::from_text("shared.yaml", NETWORK, &options).expect("the spec is right")
}

/// Trains on so many ranks in a folder; what each of them ends with.
fn train_in(
    out: &Path,
    start: &Start,
    images: usize,
    ranks: usize,
    set: &[&str],
    stop_at: usize,
) -> Vec<ParamStore> {
    train_on(&|| dataset(images), (out, start), ranks, set, stop_at)
}

/// The same on any images.
fn train_on(
    dataset: &(impl Fn() -> Dataset + Sync),
    (out, start): (&Path, &Start),
    ranks: usize,
    set: &[&str],
    stop_at: usize,
) -> Vec<ParamStore> {
    let spec = spec(set);
    let work = |ranks: Option<Collective>| {
        // One rank is told to stop, all of them do.
        let told = ranks.as_ref().is_none_or(|ranks| ranks.rank() + 1 == ranks.size());
        let stop = Arc::default();
        let builder = Trainer::builder(&spec, dataset()).device(DeviceOptions::cpu(1)).out(out);
        let builder = builder.start(start.clone()).stop(Arc::clone(&stop));
        let builder = match ranks {
            Some(ranks) => builder.ranks(Arc::new(ranks)),
            None => builder,
        };
        let mut trainer = builder.build().expect("it can be trained");
        let mut steps = 0;
        let outcome = trainer.run(|event| {
            steps += usize::from(matches!(event, Event::Step(_)));
            stop.fetch_or(told && steps == stop_at, std::sync::atomic::Ordering::Relaxed);
        });
        let stopped = matches!(outcome.expect("it trains"), Outcome::Interrupted { .. });
        assert_eq!(stopped, stop_at < usize::MAX);
        trainer.weights().expect("they can be read")
    };
    if ranks == 1 {
        return vec![work(None)];
    }
    on_ranks(ranks, |ranks| work(Some(ranks)))
}

/// What a training comes to: the weights of each rank, the log and the checkpoint.
struct Trained {
    weights: Vec<ParamStore>,
    log: Vec<EpochRecord>,
    checkpoint: Checkpoint,
}

fn train(images: usize, ranks: usize, set: &[&str]) -> Trained {
    let out = tempfile::tempdir().expect("a folder");
    let weights = train_in(out.path(), &Start::New, images, ranks, set, usize::MAX);
    read(out.path(), weights)
}

/// Each rank keeps a part of the optimizer's state.
const SHARDED: &str = "train.parallel.shard_optimizer=true";

/// Checks that two trainings have saved the same weights and the same state, bit for bit.
fn same(a: &Trained, b: &Trained, what: &str) {
    let (a, b) = (&a.checkpoint, &b.checkpoint);
    assert_eq!(bits(&a.params), bits(&b.params), "{what}: weights");
    let names = |store: &ParamStore| store.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&a.optimizer), names(&b.optimizer), "{what}: names of the state");
    assert!(!a.optimizer.is_empty());
    assert_eq!(bits(&a.optimizer), bits(&b.optimizer), "{what}: state");
}

fn read(out: &Path, weights: Vec<ParamStore>) -> Trained {
    let log = std::fs::read_to_string(out.join(LOG)).expect("rank 0 has written it");
    let log = log.lines().map(|line| serde_json::from_str::<EpochRecord>(line).expect("a record").timeless());
    let (log, checkpoint) =
        (log.collect(), Checkpoint::load(&out.join(LAST)).expect("rank 0 has written it"));
    Trained { weights, log, checkpoint }
}

#[test]
fn with_common_statistics_ranks_are_one_process_with_the_batches_of_all() {
    // 400 images in batches of 16 make 25 steps an epoch, 50 in all.
    for ranks in [2, 4] {
        let [own, one] = [16 / ranks, 16].map(|size| format!("train.batch_size={size}"));
        let one = train(400, 1, &[&one]);
        let shared = train(400, ranks, &[&own, "train.parallel.sync_bn=true"]);
        let apart = difference(&one.weights[0], &shared.weights[0]);
        assert!(apart <= 1e-5, "{ranks} ranks: weights are {apart:e} apart");
        for (a, b) in one.log.iter().zip(&shared.log) {
            assert!((a.train_loss - b.train_loss).abs() <= 1e-5 * a.train_loss, "{a:?} {b:?}");
            assert_eq!((a.train_accuracy, a.test_accuracy), (b.train_accuracy, b.test_accuracy));
        }
        assert!(shared.weights.iter().all(|weights| bits(weights) == bits(&shared.weights[0])));
    }
}

#[test]
fn the_last_batch_counts_by_its_images() {
    // 37 images on two ranks, eight each: 16, 16, and three and two. On four ranks with 33, only one has an image in the last batch.
    for (images, ranks, own) in [(37, 2, 8), (33, 4, 4), (35, 2, 16)] {
        let (one, own) = (format!("train.batch_size={}", own * ranks), format!("train.batch_size={own}"));
        let one = train(images, 1, &[&one]);
        let shared = train(images, ranks, &[&own, "train.parallel.sync_bn=true"]);
        let apart = difference(&one.weights[0], &shared.weights[0]);
        assert!(apart <= 1e-5, "{images} images on {ranks} ranks: {apart:e}");
        assert_eq!(one.log[1].train_accuracy, shared.log[1].train_accuracy);
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bits() {
    let ways: [&[&str]; 4] = [
        &[],
        &["train.parallel.sync_bn=true", "train.accumulate=2"],
        &["train.parallel.gradients=bf16", "train.ema={}", "train.clip={norm: 1}"],
        &["train.swa={start: 0.5}", "train.optimizer=lamb"],
    ];
    for set in ways {
        let [a, b] = [(); 2].map(|()| train(45, 3, set));
        assert_eq!(
            a.checkpoint.to_bytes().expect("finite"),
            b.checkpoint.to_bytes().expect("finite"),
            "{set:?}"
        );
        assert_eq!(a.log, b.log, "{set:?}");
        // Running statistics too: they have been shared with the last epoch.
        assert!(a.weights.iter().all(|weights| bits(weights) == bits(&a.weights[0])), "{set:?}");
    }
}

/// The moving average of the weights has running statistics of its own: those of all ranks, too. One that keeps nothing of itself is the
/// weights.
#[test]
fn averaged_statistics_are_those_of_all_ranks() {
    let trained = train(48, 2, &["train.ema={decay: 0}", "train.batch_size=4"]).checkpoint;
    for name in ["stem.bn1.running_mean", "stage2.unit0.bn1.running_var"] {
        let average = trained.optimizer.get(&format!("average.{name}")).expect("it is kept");
        assert_eq!(average.data, trained.params.get(name).expect("it is there").data);
    }
}

#[test]
fn several_batches_of_several_ranks_make_an_update() {
    let one = train(48, 1, &["train.batch_size=16"]);
    let shared = train(48, 2, &["train.batch_size=4", "train.accumulate=2", "train.parallel.sync_bn=true"]);
    // Statistics are those of eight images here and of 16 there: only the order of magnitude is the same.
    assert_eq!(one.log.len(), shared.log.len());
    let alone = train(48, 1, &["train.batch_size=8", "train.accumulate=2"]);
    let apart = difference(&alone.weights[0], &shared.weights[0]);
    assert!(apart <= 1e-5, "{apart:e}");
}

/// Where each update is followed by a mean of the weights, updates that are linear in the gradients are those by their sum.
#[test]
fn a_mean_of_weights_behind_each_update_is_the_sum_of_gradients() {
    // One update an epoch, with as many images on each rank, one more on some, and an accumulated batch that some ranks do not have.
    let ways =
        [(32, 4, "batch_size=8"), (13, 2, "batch_size=8"), (27, 4, "batch_size=7"), (17, 4, "batch_size=4")];
    for (images, ranks, batch) in ways {
        let batch = format!("train.{batch}");
        let set = |every| {
            let every = format!("train.parallel.sync_every={every}");
            let all = [&*batch, &every, "train.accumulate=2", "train.epochs=6", "train.ema={decay: 0.5}"];
            train(images, ranks, &all)
        };
        let [sums, means] = [1, 2].map(set);
        let apart = difference(&sums.weights[0], &means.weights[0]);
        assert!(apart <= 1e-5, "{images} images on {ranks} ranks: weights are {apart:e} apart");
        let apart = difference(&sums.checkpoint.optimizer, &means.checkpoint.optimizer);
        assert!(apart <= 1e-5, "{images} images on {ranks} ranks: momentum is {apart:e} apart");
    }
}

#[test]
fn ranks_on_their_own_end_with_the_same_weights_and_the_same_bits_each_time() {
    // 45 images: 15 a rank, in batches of two and one. 43: two of the ranks have no eighth batch.
    let ways: [(usize, &[&str]); 4] = [
        (45, &[]),
        (43, &["train.parallel.scale_lr=sqrt"]),
        (43, &["train.accumulate=2", "train.ema={}", "train.clip={norm: 1}"]),
        (45, &["train.swa={start: 0.5}", "train.optimizer=lamb"]),
    ];
    for (images, set) in ways {
        let with = |every: &str| {
            let every = format!("train.parallel.sync_every={every}");
            train(images, 3, &[&[&*every, "train.batch_size=2"], set].concat())
        };
        let [a, b, sums] = ["4", "4", "1"].map(with);
        let [bytes, again] = [&a, &b].map(|trained| trained.checkpoint.to_bytes().expect("finite"));
        assert_eq!(bytes, again, "{set:?}");
        assert_eq!(a.log, b.log, "{set:?}");
        assert!(a.weights.iter().all(|weights| bits(weights) == bits(&a.weights[0])), "{set:?}");
        assert!(difference(&a.weights[0], &sums.weights[0]) > 1e-3, "{set:?}: nobody was on his own");
    }
}

/// 17 images on two ranks in batches of eight: the first makes an update of eight and one of one, the second one update alone. What comes of
/// both is the mean of what they are by themselves, by their images.
#[test]
fn a_rank_without_an_image_makes_no_update() {
    let on = |images, ranks| {
        let out = tempfile::tempdir().expect("a folder");
        let set =
            ["train.parallel.sync_every=2", "train.epochs=1", "train.schedule=constant", "train.augment=[]"];
        let weights = train_on(&|| alike(images), (out.path(), &Start::New), ranks, &set, usize::MAX);
        read(out.path(), weights).checkpoint
    };
    let (shared, first, second) = (on(17, 2), on(9, 1), on(8, 1));
    let mean = |a: &ParamStore, b: &ParamStore| {
        let mut mean = ParamStore::new();
        for (name, tensor) in a.iter().filter(|(name, _)| !name.contains("running_")) {
            let other = &b.get(name).expect("the same network").data;
            let of = |(a, b): (&f32, &f32)| (9.0 * a + 8.0 * b) / 17.0;
            mean.insert(name, tensor.shape.clone(), tensor.data.iter().zip(other).map(of).collect());
        }
        mean
    };
    let apart = difference(&mean(&first.params, &second.params), &shared.params);
    assert!(apart <= 1e-5, "weights are {apart:e} apart");
    let apart = difference(&mean(&first.optimizer, &second.optimizer), &shared.optimizer);
    assert!(apart <= 1e-5, "momentum is {apart:e} apart");
    assert!(difference(&first.params, &second.params) > 1e-3, "one of them makes two updates");
}

#[test]
fn one_rank_is_never_on_its_own() {
    let [plain, alone] = [&[][..], &["train.parallel.sync_every=4"]].map(|set| train(45, 1, set));
    assert_eq!(bits(&plain.weights[0]), bits(&alone.weights[0]));
    assert_eq!(plain.log, alone.log);
}

/// 45 images on two ranks in batches of two: twelve updates, and means behind the fourth, the eighth and the last.
#[test]
fn ranks_on_their_own_stop_where_they_meet_and_go_on_as_if_they_had_not() {
    let set = ["train.parallel.sync_every=4", "train.batch_size=2", "train.ema={}"];
    let whole = train(45, 2, &set);
    // Updates are told of where ranks meet, and the next time all know that one wants to stop.
    for (stop_at, stopped) in [(1, (0, 8)), (5, (1, 0)), (13, (1, 8))] {
        let out = tempfile::tempdir().expect("a folder");
        train_in(out.path(), &Start::New, 45, 2, &set, stop_at);
        let progress = Checkpoint::load(&out.path().join(LAST)).expect("a checkpoint").progress;
        assert_eq!((progress.epoch, progress.step), stopped, "told at {stop_at}");
        let weights = train_in(out.path(), &Start::Resume, 45, 2, &set, usize::MAX);
        let parts = read(out.path(), weights);
        assert_eq!(bits(&parts.weights[1]), bits(&whole.weights[0]), "told at {stop_at}");
        let [all, both] = [&whole, &parts].map(|trained| bits(&trained.checkpoint.optimizer));
        assert_eq!(all, both, "told at {stop_at}");
        assert_eq!(parts.log, whole.log);
    }
}

#[test]
fn the_rate_follows_the_number_of_ranks_where_that_is_asked_for() {
    let rate = |ranks, set: &[&str]| train(40, ranks, set).log[0].lr;
    let plain = rate(1, &[]);
    let parallel = |rule: &str| format!("train.parallel.scale_lr={rule}");
    assert_eq!(rate(4, &["train.schedule=constant"]), rate(1, &["train.schedule=constant"]));
    let [linear, sqrt] =
        ["linear", "sqrt"].map(|rule| rate(4, &[&parallel(rule), "train.schedule=constant"]));
    let base = rate(1, &["train.schedule=constant"]);
    assert_eq!((linear, sqrt), (base * 4.0, base * 2.0));
    assert!(plain <= base);
}

#[test]
fn one_that_is_told_stops_all_and_they_go_on_as_if_they_had_not() {
    let set = ["train.parallel.sync_bn=true"];
    let whole = train(45, 2, &set);
    for stop_at in [1, 3, 4] {
        let out = tempfile::tempdir().expect("a folder");
        train_in(out.path(), &Start::New, 45, 2, &set, stop_at);
        let weights = train_in(out.path(), &Start::Resume, 45, 2, &set, usize::MAX);
        let parts = read(out.path(), weights);
        assert_eq!(bits(&parts.weights[1]), bits(&whole.weights[0]), "stopped at {stop_at}");
        assert_eq!(parts.log, whole.log);
    }
}

#[test]
fn another_number_of_ranks_goes_on_with_the_next_images() {
    // 64 images. All know with the next step that one has been told: after three steps of four ranks with four images each 48 are done, and
    // two ranks are at their sixth batch then.
    let out = tempfile::tempdir().expect("a folder");
    let set = ["train.parallel.sync_bn=true", "train.batch_size=4"];
    train_in(out.path(), &Start::New, 64, 4, &set, 2);
    let stopped = Checkpoint::load(&out.path().join(LAST)).expect("a checkpoint").progress;
    assert_eq!((stopped.step, stopped.ranks), (3, 4));
    train_in(out.path(), &Start::Resume, 64, 2, &set, 1);
    let later = Checkpoint::load(&out.path().join(LAST)).expect("a checkpoint").progress;
    // The eight batches of the epoch are done, and each image once.
    assert_eq!((later.epoch, later.ranks, later.open.map(|sums| sums.images)), (1, 2, Some(64)));
}

/// Each rank keeps a part of the optimizer's state, and all end with the bits that they have without.
#[test]
fn a_sharded_optimizer_changes_no_bit() {
    let ways: [(&[usize], &[&str]); 6] = [
        (&[2, 4], &[]),
        (&[2, 4], &["train.optimizer={adamw: {decay_norm: false}}", "train.ema={}"]),
        (&[3], &["train.optimizer=lion", "train.parallel.gradients=bf16", "train.freeze=[stem]"]),
        (&[2], &["train.clip={norm: 1}", "train.accumulate=2"]),
        (&[3], &["train.swa={start: 0.5}", "train.parallel.sync_bn=true"]),
        // Some spans, whose gathers overlap.
        (&[2], &["stages=[{depth: 1, filters: 40}]", "train.optimizer=adamw", "train.epochs=1"]),
    ];
    for (counts, set) in ways {
        for &ranks in counts {
            // Twenty steps on two ranks, ten on four.
            let set = [&["train.batch_size=2"], set].concat();
            let whole = train(40, ranks, &set);
            let sharded = train(40, ranks, &[&set[..], &[SHARDED]].concat());
            same(&sharded, &whole, &format!("{set:?} on {ranks} ranks"));
            assert_eq!(sharded.log, whole.log);
            assert!(
                sharded.weights.iter().all(|weights| bits(weights) == bits(&whole.weights[0])),
                "{set:?}"
            );
        }
    }
}

/// One that is alone has the whole state, and nobody to share it with.
#[test]
fn a_rank_alone_trains_as_if_nothing_were_sharded() {
    let [whole, sharded] = [&[][..], &[SHARDED]].map(|set| train(20, 1, set));
    same(&sharded, &whole, "one rank");
}

/// What is saved is the whole state: a training goes on with it whoever keeps which part, and comes to the same bits.
#[test]
fn a_sharded_training_goes_on_with_and_without_parts() {
    let base = ["train.optimizer=adamw", "train.ema={}", "train.parallel.sync_bn=true"];
    let sharded = [&base[..], &[SHARDED]].concat();
    let whole = train(45, 2, &base);
    for (before, after, stop_at) in
        [(&sharded[..], &sharded[..], 1), (&sharded, &base, 3), (&base, &sharded, 4)]
    {
        let out = tempfile::tempdir().expect("a folder");
        train_in(out.path(), &Start::New, 45, 2, before, stop_at);
        let weights = train_in(out.path(), &Start::Resume, 45, 2, after, usize::MAX);
        same(&read(out.path(), weights), &whole, &format!("stopped at {stop_at}"));
    }
}

/// Another number of ranks has other parts of the same state.
#[test]
fn another_number_of_ranks_takes_other_parts() {
    let set = ["train.optimizer=adamw", "train.batch_size=4"];
    let [whole, sharded] = [&set[..], &[&set[..], &[SHARDED]].concat()].map(|set| {
        let out = tempfile::tempdir().expect("a folder");
        train_in(out.path(), &Start::New, 64, 4, set, 2);
        let weights = train_in(out.path(), &Start::Resume, 64, 2, set, usize::MAX);
        read(out.path(), weights)
    });
    same(&sharded, &whole, "four ranks, then two");
}
