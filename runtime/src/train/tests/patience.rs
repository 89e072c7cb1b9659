//! Evaluations that get no better: rates that fall, trainings that end, and both across an interruption.

use resnetc_compiler::spec::train::{EarlyStopping, Metric, Plateau};

use super::*;

/// No evaluation can be better than the first: the loss would have to fall by 99.99 %.
fn watched(epochs: usize) -> TrainConfig {
    let metric = Metric::Loss;
    let plateau = Plateau { metric, factor: 0.5, patience: 1, threshold: 0.9999, cooldown: 0, min_lr: 0.02 };
    let schedule = Schedule::Plateau(plateau);
    TrainConfig { epochs, schedule, evaluate_every: 1, checkpoint_every: 3, ..config() }
}

/// What was told of it, without what every training tells.
fn told(config: &TrainConfig, options: Options) -> (Outcome, Vec<String>) {
    let mut told = Vec::new();
    let mut observe = |event: Event<'_>| match event {
        Event::RateReduced { lr } => told.push(format!("rate {lr}")),
        Event::EndsEarly { metric, evaluations } => {
            told.push(format!("ends: {} no better for {evaluations}", metric.word()));
        }
        _ => {}
    };
    let outcome = trainer(config, options).expect("fits").run(&mut observe).expect("trains");
    (outcome, told)
}

#[test]
fn the_rate_falls_while_evaluations_get_no_better() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_, events) = told(&watched(6), options(dir.path()));
    assert_eq!(events, ["rate 0.05", "rate 0.025"]);
    let rates: Vec<f32> = state(dir.path()).1.iter().map(|record| record.lr).collect();
    assert_eq!(rates, [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]);
}

#[test]
fn a_resumed_training_watches_on() {
    let [whole, parts] = [(), ()].map(|()| tempfile::tempdir().expect("a folder"));
    let config = watched(5);
    told(&config, options(whole.path()));
    // In the third epoch: its evaluation is the second that is no better.
    stopped_after(15, &config, options(parts.path()));
    let (_, events) = told(&config, Options { start: Start::Resume, ..options(parts.path()) });
    assert_eq!(events, ["rate 0.05"], "that of a sixth epoch would be lower");
    assert_eq!(state(whole.path()), state(parts.path()));
}

#[test]
fn a_training_ends_early_is_saved_and_goes_on_with_more_patience() {
    let dir = tempfile::tempdir().expect("a folder");
    let early = |patience| EarlyStopping { metric: Metric::Accuracy, patience, min_delta: 1.0 };
    let config = |patience| TrainConfig { early_stopping: Some(early(patience)), ..watched(6) };
    let (outcome, events) = told(&config(1), options(dir.path()));
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(events, ["ends: accuracy no better for 1"]);
    assert_eq!(state(dir.path()).0.progress.epoch, 2);
    let resume = || Options { start: Start::Resume, ..options(dir.path()) };
    // It has ended, and stays so.
    assert_eq!(told(&config(1), resume()).1, ["ends: accuracy no better for 1"]);
    assert_eq!(state(dir.path()).0.progress.epoch, 2);
    told(&config(3), resume());
    assert_eq!(state(dir.path()).0.progress.epoch, 4);
}
