//! What watches evaluations: a rate that falls, or a training that ends, when they get no better.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The mean loss of the evaluated images: lower is better.
    #[default]
    Loss,
    /// The share of evaluated images whose class was found: higher is better.
    Accuracy,
}

impl Metric {
    /// As specs spell it.
    pub fn word(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
        }
    }

    /// The metric of a word of its.
    pub(super) fn of(word: &str) -> Self {
        if word == Metric::Accuracy.word() { Metric::Accuracy } else { Metric::Loss }
    }
}

/// PyTorch's `ReduceLROnPlateau`, with evaluations in the place of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// What has to get better.
    pub metric: Metric,
    /// Factor of the rate.
    pub factor: f32,
    /// Evaluations in a row that may be no better; the one after them lowers the rate.
    pub patience: usize,
    /// Share of the best value that a better one has to differ by.
    pub threshold: f32,
    /// Evaluations after a change that do not count.
    pub cooldown: usize,
    /// Least rate.
    pub min_lr: f32,
}

/// As specs spell it.
impl fmt::Display for Plateau {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plateau { metric, factor, patience, threshold, cooldown, min_lr } = self;
        let metric = metric.word();
        write!(f, "{{metric: {metric}, factor: {factor}, patience: {patience}, ")?;
        write!(f, "threshold: {threshold}, cooldown: {cooldown}, min_lr: {min_lr}}}")
    }
}

/// When a training ends before its last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// What has to get better.
    pub metric: Metric,
    /// Evaluations in a row that are no better, after which it ends.
    pub patience: usize,
    /// What a better value has to differ from the best by.
    pub min_delta: f32,
}

/// As specs spell it.
impl fmt::Display for EarlyStopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EarlyStopping { metric, patience, min_delta } = self;
        write!(f, "{{metric: {}, patience: {patience}, min_delta: {min_delta}}}", metric.word())
    }
}
