//! Tensors that live between runs: what they are, and where their values come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a persistent tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Weight of a convolution, logical `[cout, cin / groups, kh, kw]`.
    ConvWeight,
    /// Weight of a linear layer, logical `[out, in]`.
    LinearWeight,
    /// Bias of either, `[cout]`.
    Bias,
    /// A normalisation's scale (gamma), `[c]`; its tensor is called `weight`, as in PyTorch.
    NormScale,
    /// A normalisation's shift (beta), `[c]`; its tensor is called `bias`, as in PyTorch.
    NormShift,
    /// Running mean, `[c]`: persistent, but no parameter: not trained, not counted.
    RunningMean,
    /// Running variance, `[c]`: likewise.
    RunningVar,
    /// The factor of the loss that training adapts, a scalar: the optimizer's, as the next two.
    LossScale,
    /// Steps since it last changed, a scalar.
    GoodSteps,
    /// Steps that were left out, a scalar.
    SkippedSteps,
    /// An average of a running statistic over updates, `[c]`: the optimizer's, too.
    Average,
    /// A factor of the loss that the spec sets, a scalar: checkpoints do not hold it.
    StaticLossScale,
}

impl Role {
    /// Whether gradients flow into it.
    pub fn trained(self) -> bool {
        match self {
            Role::ConvWeight | Role::LinearWeight | Role::Bias | Role::NormScale | Role::NormShift => true,
            Role::RunningMean | Role::RunningVar => false,
            Role::LossScale | Role::GoodSteps | Role::SkippedSteps | Role::StaticLossScale => false,
            Role::Average => false,
        }
    }

    /// Whether it is a part of the network: a parameter or a running statistic.
    pub fn of_network(self) -> bool {
        self.trained() || matches!(self, Role::RunningMean | Role::RunningVar)
    }

    /// Whether it is a part of the optimizer's state.
    pub fn of_optimizer(self) -> bool {
        matches!(self, Role::LossScale | Role::GoodSteps | Role::SkippedSteps | Role::Average)
    }
}

/// Names of the four tensors of one batch normalisation, and its epsilon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BnTensors {
    /// gamma
    pub scale: String,
    /// beta
    pub shift: String,
    /// Running mean.
    pub mean: String,
    /// Running variance.
    pub var: String,
    /// Added to the variance.
    pub eps: f32,
}

/// How the runtime gets a persistent tensor's values from the named tensors of a checkpoint.
/// The compiler stays pure: it writes the recipe, the runtime evaluates it when weights are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// The tensor of the node's own name.
    Own,
    /// `weight * scale / sqrt(var + eps)`, per output channel.
    FoldedWeight {
        /// Name of the convolution's weight.
        weight: String,
        /// What is folded into it.
        bn: BnTensors,
    },
    /// `shift + (bias - mean) * scale / sqrt(var + eps)`; without a bias it counts as zero. Also the shift of an
    /// [`Op::Affine`](super::op::Op::Affine).
    FoldedShift {
        /// Name of the convolution's bias, where it has one.
        bias: Option<String>,
        /// What is folded into it.
        bn: BnTensors,
    },
    /// `scale / sqrt(var + eps)`: the scale of an [`Op::Affine`](super::op::Op::Affine).
    FoldedScale {
        /// What it is made of.
        bn: BnTensors,
    },
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::ConvWeight => "conv_weight",
            Role::LinearWeight => "linear_weight",
            Role::Bias => "bias",
            Role::NormScale => "norm_scale",
            Role::NormShift => "norm_shift",
            Role::RunningMean => "running_mean",
            Role::RunningVar => "running_var",
            Role::LossScale => "loss_scale",
            Role::GoodSteps => "good_steps",
            Role::SkippedSteps => "skipped_steps",
            Role::Average => "average",
            Role::StaticLossScale => "static_loss_scale",
        })
    }
}

/// Empty for a tensor of its own, ` folded_weight[...]` otherwise.
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipe::Own => Ok(()),
            Recipe::FoldedWeight { weight, bn } => write!(f, " folded_weight[{weight}, {bn}]"),
            Recipe::FoldedShift { bias: Some(bias), bn } => write!(f, " folded_shift[{bias}, {bn}]"),
            Recipe::FoldedShift { bias: None, bn } => write!(f, " folded_shift[{bn}]"),
            Recipe::FoldedScale { bn } => write!(f, " folded_scale[{bn}]"),
        }
    }
}

/// The four tensors and epsilon.
impl fmt::Display for BnTensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}, {}, eps={}", self.scale, self.shift, self.mean, self.var, self.eps)
    }
}
