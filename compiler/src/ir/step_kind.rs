//! What a training step is for.

use serde::{Deserialize, Serialize};

/// The plans that a training may have of one network: they share what outlives a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Forward, backward, update; where several batches make one update, by the sum of their gradients.
    #[default]
    Update,
    /// Forward and backward; the gradients are added to the sum. The step of another batch makes the update.
    Gather,
    /// Forward alone. Running statistics become those of the batch.
    Statistics,
    /// No images at all: where ranks update by their own gradients, their parameters and the optimizer's state become the mean over ranks.
    Synchronize,
}

impl StepKind {
    /// Whether it computes what the network says of a batch.
    pub fn has_forward(self) -> bool {
        match self {
            StepKind::Update | StepKind::Gather | StepKind::Statistics => true,
            StepKind::Synchronize => false,
        }
    }

    /// Whether it computes gradients.
    pub fn has_backward(self) -> bool {
        match self {
            StepKind::Update | StepKind::Gather => true,
            StepKind::Statistics | StepKind::Synchronize => false,
        }
    }
}
