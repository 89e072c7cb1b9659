//! A moving average of the weights beside them: what it is, what is evaluated, what goes on after an interruption.

use resnetc_compiler::spec::train::{Ema, Swa};

use super::*;
use crate::checkpoint::{has_average, load_average, load_weights};
use crate::weights::ParamStore;

fn averaging() -> TrainConfig {
    TrainConfig { ema: Some(Ema { decay: 0.7, warmup: true }), evaluate_every: 1, ..config() }
}

fn average_of(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.optimizer.get(&format!("average.{name}")).expect("an average").data.clone()
}

/// One update an epoch, each with a checkpoint: the average of parameters and statistics is that of timm's formula in double precision.
/// Four updates round a number of size 1 twice each.
#[test]
fn it_is_the_average_of_all_tensors_over_updates() {
    let dir = folder();
    let config = TrainConfig { batch_size: 44, ..averaging() };
    trainer(&config, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let epochs: Vec<Checkpoint> =
        (1..=4).map(|epoch| Checkpoint::load(&dir.path().join(epoch_file(epoch))).expect("valid")).collect();
    for (name, last) in epochs[3].params.iter() {
        let mut average = vec![0.0; last.data.len()];
        for (t, epoch) in (0..).zip(&epochs) {
            let decay = (1.0 - (1.0 + t as f64).powf(-2.0 / 3.0)).min(0.7);
            let now = &epoch.params.get(name).expect("the same tensors").data;
            for (a, &x) in average.iter_mut().zip(now) {
                *a = decay * *a + (1.0 - decay) * f64::from(x);
            }
        }
        let found = average_of(&epochs[3], name);
        for (a, b) in average.iter().zip(&found) {
            assert!(
                (a - f64::from(*b)).abs() <= 8.0 * f64::from(f32::EPSILON) * (1.0 + a.abs()),
                "{name}: {a}, {b}"
            );
        }
        assert_eq!(
            average_of(&epochs[0], name),
            epochs[0].params.get(name).expect("there").data,
            "the first"
        );
        assert_ne!(found, last.data, "{name}: it lags behind");
    }
}

/// Both are evaluated, and the average's figures count.
#[test]
fn both_are_evaluated_and_the_average_counts() {
    let dir = folder();
    let mut told = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Evaluated { sums, average, .. } = event {
            told.push((sums, average.expect("an average")));
        }
    };
    let mut trainer = trainer(&averaging(), options(dir.path())).expect("fits");
    trainer.run(&mut observe).expect("trains");
    let (last, records) = state(dir.path());
    let averages: Vec<Sums> = told.iter().map(|(_, average)| *average).collect();
    let logged: Vec<f64> = records.iter().map(|record| record.average_loss.expect("logged")).collect();
    assert_eq!(logged, averages.iter().map(Sums::mean_loss).collect::<Vec<_>>());
    let best = averages.iter().map(|sums| sums.correct).max();
    assert_eq!(last.progress.best.map(|best| best.correct), best);
    assert!(told.iter().any(|(sums, average)| sums != average), "{told:?}");
    // What a file gives is what was evaluated.
    let path = dir.path().join(LAST);
    assert!(has_average(&path));
    let mut loss =
        |params: &ParamStore| trainer.evaluator.evaluate(params, &mut |_| ()).expect("it runs").loss;
    assert_eq!(loss(&load_average(&path).expect("valid")), averages[3].loss);
    assert_eq!(loss(&load_weights(&path).expect("valid")), told[3].0.loss);
}

#[test]
fn interrupted_it_ends_bit_for_bit_the_same() {
    for config in [averaging(), TrainConfig { accumulate: 2, ..averaging() }] {
        let (whole, parts) = (folder(), folder());
        trainer(&config, options(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
        stopped_after(5, &config, options(parts.path()));
        let options = Options { start: Start::Resume, ..options(parts.path()) };
        trainer(&config, options).expect("the same training").run(&mut |_| ()).expect("trains");
        assert_eq!(state(whole.path()), state(parts.path()));
    }
}

/// A training may take up an average on its way, which begins with the weights that it finds, and drop it.
#[test]
fn it_may_begin_and_end_on_the_way() {
    let dir = folder();
    let without = TrainConfig { epochs: 1, ..config() };
    trainer(&without, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let before = state(dir.path()).0;
    assert!(!has_average(&dir.path().join(LAST)));
    let resume = || Options { start: Start::Resume, ..options(dir.path()) };
    let keeps = TrainConfig { ema: Some(Ema { decay: 0.999_999, warmup: false }), epochs: 2, ..config() };
    trainer(&keeps, resume()).expect("goes on").run(&mut |_| ()).expect("trains");
    let (after, _) = state(dir.path());
    for (name, tensor) in before.params.iter() {
        let average = average_of(&after, name);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * (1.0 + b.abs());
        assert!(average.iter().zip(&tensor.data).all(near), "{name} stays where it began");
    }
    trainer(&TrainConfig { epochs: 3, ..config() }, resume())
        .expect("goes on")
        .run(&mut |_| ())
        .expect("trains");
    let last = state(dir.path()).0;
    assert!(!last.progress.averaged && last.optimizer.iter().all(|(name, _)| !name.starts_with("average")));
}

/// Stochastic weight averaging: with one update an epoch, the mean of the last three epochs' weights. Three numbers are averaged in two
/// roundings each.
#[test]
fn over_epochs_it_is_the_mean_of_their_weights() {
    let dir = folder();
    let swa = Some(Swa { start: 2.0, lr: Some(0.03) });
    let config = TrainConfig { batch_size: 44, swa, ..config() };
    let (mut told, mut rates) = (Vec::new(), Vec::new());
    let mut observe = |event: Event<'_>| match event {
        Event::Evaluated { epoch, average, .. } => told.push((epoch, average)),
        Event::Step(step) => rates.push(step.lr),
        _ => (),
    };
    let mut trainer = trainer(&config, options(dir.path())).expect("fits");
    trainer.run(&mut observe).expect("trains");
    assert_eq!(rates[1..], [0.03; 3]);
    assert!(matches!(told[..], [(2, None), (4, Some(_))]), "it is evaluated at the end: {told:?}");
    let path = dir.path().join(LAST);
    let average = load_average(&path).expect("valid");
    let epochs: Vec<Checkpoint> =
        (2..=4).map(|epoch| Checkpoint::load(&dir.path().join(epoch_file(epoch))).expect("valid")).collect();
    let of = |name: &str, i: usize| -> f64 {
        epochs.iter().map(|epoch| f64::from(epoch.params.get(name).expect("there").data[i])).sum::<f64>()
            / 3.0
    };
    for (name, tensor) in average.iter().filter(|(name, _)| !name.contains("running")) {
        for (i, &x) in tensor.data.iter().enumerate() {
            let error = (of(name, i) - f64::from(x)).abs();
            assert!(error <= 4.0 * f64::from(f32::EPSILON) * (1.0 + f64::from(x).abs()), "{name}: {x}");
        }
    }
    assert!(has_average(&path) && !has_average(&dir.path().join(epoch_file(3))));
    let evaluated = trainer.evaluator.evaluate(&average, &mut |_| ()).expect("it runs").loss;
    assert_eq!(Some(evaluated), told[1].1.map(|sums| sums.loss));
}

/// Its statistics are those of batches with the mean weights, not means of the training's: of one batch that is all images, their mean
/// and variance. A training whose rate is zero has the same weights throughout, so a step on them moves its own statistics by a tenth of
/// the way there.
#[test]
fn statistics_are_those_that_batches_have_with_the_mean() {
    let dir = folder();
    let swa = Some(Swa { start: 0.0, lr: Some(0.0) });
    let config = TrainConfig { batch_size: 44, epochs: 1, augment: Vec::new(), swa, ..config() };
    trainer(&config, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let (last, average) = (state(dir.path()).0, load_average(&dir.path().join(LAST)).expect("valid"));
    let of = |store: &ParamStore, name: &str| store.get(name).expect("there").data.clone();
    let weight = "stem.conv1.weight";
    assert_eq!(of(&average, weight), of(&last.params, weight));
    for (name, first) in [("stem.bn1.running_mean", 0.0f32), ("stem.bn1.running_var", 1.0)] {
        let (batch, moved) = (of(&average, name), of(&last.params, name));
        for (x, running) in batch.iter().zip(moved) {
            let expected = 0.9 * first + 0.1 * x;
            assert!((running - expected).abs() <= 1e-6 * (1.0 + x.abs()), "{name}: {running}, {expected}");
        }
        assert!(batch.iter().any(|x| (x - first).abs() > 1e-3), "{name} was found");
    }
}

/// The pass for the statistics leaves the training as it was, and is repeated where it was interrupted.
#[test]
fn interrupted_before_the_statistics_it_ends_bit_for_bit_the_same() {
    let swa = Some(Swa { start: 0.5, lr: None });
    let config = TrainConfig { swa, ..config() };
    let (plain, whole, parts) = (folder(), folder(), folder());
    trainer(&self::config(), options(plain.path())).expect("fits").run(&mut |_| ()).expect("trains");
    trainer(&config, options(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
    assert_eq!(state(plain.path()).0.params, state(whole.path()).0.params, "the weights are the training's");
    stopped_after(24, &config, options(parts.path()));
    let options = Options { start: Start::Resume, ..options(parts.path()) };
    trainer(&config, options).expect("the same training").run(&mut |_| ()).expect("trains");
    assert_eq!(state(whole.path()), state(parts.path()));
}
