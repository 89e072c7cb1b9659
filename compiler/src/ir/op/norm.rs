//! Which normalisation a network has.

use serde::{Deserialize, Serialize};

use crate::ir::persistent::Role;

/// Which normalisation, before it meets the channels it works on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Over the batch and the pixels, per channel: [`BatchNorm`](super::BatchNorm).
    Batch {
        /// Added to the variance.
        eps: f32,
        /// Weight of the batch in the running statistics.
        momentum: f32,
    },
    /// Over the pixels and the channels of a group, per image: [`GroupNorm`](super::GroupNorm).
    Group {
        /// Groups of channels that lie side by side.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
}

impl Norm {
    /// PyTorch's batch normalisation.
    pub const DEFAULT: Norm = Norm::Batch { eps: 1e-5, momentum: 0.1 };

    /// What nodes are called after: `bn`.
    pub fn name(self) -> &'static str {
        match self {
            Norm::Batch { .. } => "bn",
            Norm::Group { .. } => "gn",
        }
    }

    /// The operator's vectors of one number per channel, in the order of its operands: how each is called, what it is,
    /// and its first value.
    pub fn tensors(self) -> &'static [(&'static str, Role, f32)] {
        const ALL: &[(&str, Role, f32)] = &[
            ("weight", Role::NormScale, 1.0),
            ("bias", Role::NormShift, 0.0),
            ("running_mean", Role::RunningMean, 0.0),
            ("running_var", Role::RunningVar, 1.0),
        ];
        match self {
            Norm::Batch { .. } => ALL,
            Norm::Group { .. } => &ALL[..2],
        }
    }
}
