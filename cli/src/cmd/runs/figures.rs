//! What came of trainings, side by side.

use std::time::Duration;

use crate::report;
use crate::report::training::percent;
use crate::report::units::{duration, rate};
use crate::runs::{Figures, Run};

/// Figures with their values in each training; those that no training has are left out.
pub fn figures(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let all: Vec<Vec<(String, String)>> = runs.iter().map(figures_of).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let value = |one: &[(String, String)], name: &String| {
        one.iter().find(|(known, _)| known == name).map_or("-".to_owned(), |(_, value)| value.clone())
    };
    names.into_iter().map(|name| (name.clone(), all.iter().map(|one| value(one, name)).collect())).collect()
}

fn figures_of(run: &Run) -> Vec<(String, String)> {
    let figures = Figures::of(&run.epochs);
    let number = |value: f64| format!("{value:.4}");
    let mut all = vec![
        ("state", Some(run.state().word().to_owned())),
        ("epochs", Some(format!("{}/{}", run.done(), run.file.facts.epochs))),
        ("best accuracy", figures.best_accuracy.map(percent)),
        ("last accuracy", figures.last_accuracy.map(percent)),
        ("best loss", figures.best_loss.map(number)),
        ("last loss", figures.last_loss.map(number)),
    ];
    let last = run.epochs.iter().rev().find_map(|record| record.average_metrics.or(record.test_metrics));
    if let Some(metrics) = &last {
        all.extend(report::metrics::rows(metrics).into_iter().map(|(name, figure)| (name, Some(figure))));
    }
    let time = |seconds: f64| duration(Duration::from_secs_f64(seconds.max(0.0)));
    all.extend([
        ("a step", run.step_seconds().map(time)),
        ("images a second", run.epochs.last().map(|last| rate(last.images_per_second))),
        ("time", Some(time(run.seconds()))),
    ]);
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.trim().to_owned()))).collect()
}
