//! The learning rate over time, as data: what it comes to at a step, the runtime says.

pub(super) mod keys;
pub(super) mod read;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::patience::Plateau;

/// Unit in which a schedule or a warm-up counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The rate changes between epochs.
    Epoch,
    /// The rate changes every step.
    Step,
}

/// Learning rate over time, as PyTorch's schedulers of these names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Never changes.
    Constant,
    /// Times `gamma` after each `every`.
    Step {
        /// Period, in `by`.
        every: usize,
        /// Factor.
        gamma: f32,
        /// Unit.
        by: By,
    },
    /// Times `gamma` at each milestone.
    Multistep {
        /// Points, ascending, in `by`.
        milestones: Vec<usize>,
        /// Factor.
        gamma: f32,
        /// Unit.
        by: By,
    },
    /// Half a cosine from the rate to `min_lr` over the whole training (after the warm-up).
    Cosine {
        /// Last rate.
        min_lr: f32,
        /// Unit.
        by: By,
    },
    /// Half a cosine again and again, each `factor` times as long as the one before (Loshchilov and Hutter 2017); PyTorch's
    /// `CosineAnnealingWarmRestarts`.
    CosineRestarts {
        /// Length of the first, in `by`.
        period: usize,
        /// Length of one by the one before.
        factor: usize,
        /// Rate that each falls to.
        min_lr: f32,
        /// Unit.
        by: By,
    },
    /// A power of what is left of the training, from the rate to `min_lr` (after the warm-up); PyTorch's `PolynomialLR`.
    Polynomial {
        /// Exponent; 1 is a straight line.
        power: f32,
        /// Last rate.
        min_lr: f32,
        /// Unit.
        by: By,
    },
    /// Times `gamma` after each epoch or step; PyTorch's `ExponentialLR`.
    Exponential {
        /// Factor.
        gamma: f32,
        /// Unit.
        by: By,
    },
    /// Times a factor whenever evaluations get no better.
    Plateau(Plateau),
    /// Linear from `lr * start` up to `lr` at `peak` (a fraction of the training), then linear down to `lr * end`.
    OneCycle {
        /// First factor.
        start: f32,
        /// Fraction of the training at which the rate is highest.
        peak: f32,
        /// Last factor.
        end: f32,
        /// Unit.
        by: By,
    },
}

/// Linear rise of the rate's factor from `from` to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// Length, in `by`.
    pub length: usize,
    /// Unit of the length (and how often the rate changes meanwhile).
    pub by: By,
    /// First factor.
    pub from: f32,
}

impl By {
    /// As specs spell it.
    pub fn word(self) -> &'static str {
        match self {
            By::Epoch => "epoch",
            By::Step => "step",
        }
    }
}

/// As specs spell it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant => f.write_str("constant"),
            Schedule::Step { every, gamma, by } => {
                write!(f, "{{step: {{every: {every}, gamma: {gamma}, by: {}}}}}", by.word())
            }
            Schedule::Multistep { milestones, gamma, by } => {
                let by = by.word();
                write!(f, "{{multistep: {{milestones: {milestones:?}, gamma: {gamma}, by: {by}}}}}")
            }
            Schedule::Cosine { min_lr, by } => {
                write!(f, "{{cosine: {{min_lr: {min_lr}, by: {}}}}}", by.word())
            }
            Schedule::CosineRestarts { period, factor, min_lr, by } => {
                let by = by.word();
                let lengths = format!("period: {period}, factor: {factor}");
                write!(f, "{{cosine_restarts: {{{lengths}, min_lr: {min_lr}, by: {by}}}}}")
            }
            Schedule::Polynomial { power, min_lr, by } => {
                write!(f, "{{polynomial: {{power: {power}, min_lr: {min_lr}, by: {}}}}}", by.word())
            }
            Schedule::Exponential { gamma, by } => {
                write!(f, "{{exponential: {{gamma: {gamma}, by: {}}}}}", by.word())
            }
            Schedule::Plateau(plateau) => write!(f, "{{plateau: {plateau}}}"),
            Schedule::OneCycle { start, peak, end, by } => {
                let by = by.word();
                write!(f, "{{one_cycle: {{start: {start}, peak: {peak}, end: {end}, by: {by}}}}}")
            }
        }
    }
}
