//! One training of a sweep: how it stands, and its figures.

use serde::{Deserialize, Serialize};

use super::grid::Variant;
use crate::runs::{Figures, Run};

/// How a training of a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has not begun.
    Waiting,
    /// It has begun, and is to go on.
    Stopped,
    /// All its epochs are done, or evaluations ended it.
    Finished,
    /// Others were better: halving left it out.
    LeftOut,
    /// Its numbers were not finite any more.
    Diverged,
}

impl State {
    /// As people and `sweep.csv` read it.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Stopped => "stopped",
            State::Finished => "finished",
            State::LeftOut => "left out",
            State::Diverged => "diverged",
        }
    }
}

/// A training of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name of its folder.
    pub name: String,
    /// A value for each key.
    pub values: Vec<String>,
    /// How it stands.
    pub state: State,
    /// Why it diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Epochs that are done.
    pub epochs: usize,
    /// Accuracy of the best evaluation.
    pub best_accuracy: Option<f64>,
    /// Of the last.
    pub last_accuracy: Option<f64>,
    /// Least loss of an evaluation.
    pub best_loss: Option<f64>,
    /// Of the last.
    pub last_loss: Option<f64>,
    /// Trained parameters.
    pub params: u64,
    /// Multiply-accumulates of one image, forward.
    pub macs: u64,
    /// Median seconds of a step.
    pub step_seconds: Option<f64>,
    /// Seconds of steps and evaluations.
    pub seconds: f64,
}

impl Row {
    /// Of a training that has not begun.
    pub fn new(variant: &Variant, params: u64, macs: u64) -> Self {
        Row {
            name: variant.name.clone(),
            values: variant.values.clone(),
            state: State::Waiting,
            reason: None,
            epochs: 0,
            best_accuracy: None,
            last_accuracy: None,
            best_loss: None,
            last_loss: None,
            params,
            macs,
            step_seconds: None,
            seconds: 0.0,
        }
    }

    /// Takes over what the training's folder tells.
    pub fn update(&mut self, run: &Run) {
        let Figures { best_accuracy, last_accuracy, best_loss, last_loss } = Figures::of(&run.epochs);
        (self.best_accuracy, self.last_accuracy) = (best_accuracy, last_accuracy);
        (self.best_loss, self.last_loss) = (best_loss, last_loss);
        (self.epochs, self.seconds, self.step_seconds) = (run.done(), run.seconds(), run.step_seconds());
    }

    /// Whether nothing is to be done for it any more.
    pub fn is_over(&self) -> bool {
        match self.state {
            State::Waiting | State::Stopped => false,
            State::Finished | State::LeftOut | State::Diverged => true,
        }
    }
}
