//! The operators of backward passes and updates, there from the stage `Differentiated` on. `dy` and results are feature maps
//! `[n, c, h, w]` unless said otherwise.

use serde::{Deserialize, Serialize};

use crate::ir::activation::Activation;
use crate::ir::attrs::{ConvAttrs, Epilogue, PoolAttrs};
use crate::ir::objective::LossAttrs;
use crate::ir::types::Shape;
use crate::ir::update::{UpdateRule, is_one, one};

/// Gradient of a convolution's input: `dy, weight`. The result has the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvBackwardData {
    /// Window of the forward convolution.
    pub attrs: ConvAttrs,
    /// Shape of the forward input.
    pub input: Shape,
    /// The last operand, of the result's shape, is added (gradient from another user of the input).
    pub residual: bool,
}

/// Gradient of a convolution's weight: `x, dy`. The result has the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvBackwardFilter {
    /// Window of the forward convolution.
    pub attrs: ConvAttrs,
    /// Logical shape of the weight.
    pub weight: Shape,
}

/// Sum over everything but channels, a bias' gradient, `[c]`: `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelSum;

/// A training batch normalisation computed again, with the statistics of the first time: `x, mean, rstd, scale, shift [, residual]`,
/// statistics `[c]`. The result is the same, bit for bit, and running statistics are left alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNormAgain {
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

/// Gradient of a training batch normalisation: `dy, x, mean, rstd, scale [, shift | , y]`. Where the epilogue has
/// an activation, `shift` is there to compute anew what that was applied to ([`Epilogue::recomputes_sign`]), else
/// `y`, the forward result. Results: `dx, dscale, dshift`, and the residual's gradient when the epilogue has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNormBackward {
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

/// Gradient of a group normalisation: operands and results as those of [`BatchNormBackward`], always with `y`, the
/// mean and the deviation `[n, groups]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupNormBackward {
    /// Of the forward operator.
    pub groups: usize,
    /// Likewise.
    pub epilogue: Epilogue,
}

/// Gradient of an activation: `dy, y` where `y` is its result or its input, as [`Activation::grad_from`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivateBackward {
    /// Which one.
    pub act: Activation,
}

/// Gradients of a product: `dy, a, b [, y]` where `y` is the forward result, there when the epilogue has an
/// activation. Results: `da, db`, and the residual's gradient when the epilogue has a residual, which it then has
/// only beside an activation: without one that gradient is `dy` itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MulBackward {
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

/// Gradient of a maximum over windows: `dy, positions`. The result has the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxPoolBackward {
    /// Window.
    pub attrs: PoolAttrs,
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of a mean over windows: `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPoolBackward {
    /// Window.
    pub attrs: PoolAttrs,
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of the mean over the image: `dy [n, c, 1, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalAvgPoolBackward {
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of the maximum over the image: `dy [n, c, 1, 1], pixels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalMaxPoolBackward {
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of a blur: `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlurPoolBackward {
    /// Of the forward operator.
    pub stride: [usize; 2],
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of the input of a convolution along channels: `dy, weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelConvBackwardData;

/// Gradient of its weight, `[1, 1, kernel]`: `x, dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelConvBackwardFilter {
    /// Channels that the filter spans.
    pub kernel: usize,
}

/// Channels `start..start + channels` of a map, the gradient of one operand of [`Concat`](super::Concat), and of that of
/// [`PadChannels`](super::PadChannels): `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelSlice {
    /// First channel taken.
    pub start: usize,
    /// Channels of the result.
    pub channels: usize,
}

/// Gradient of a linear layer's input: `dy [n, out], weight`. The result has the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearBackwardData {
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of a linear layer's weight, `[out, in]`: `x, dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearBackwardFilter;

/// Gradient of [`PadShortcut`](super::PadShortcut): `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PadShortcutBackward {
    /// Of the forward operator.
    pub stride: [usize; 2],
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of [`Flatten`](super::Flatten), the same numbers in the given shape: `dy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlattenBackward {
    /// Shape of the forward input.
    pub input: Shape,
}

/// Gradient of the mean cross-entropy with respect to the logits: `logits, labels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropyBackward {
    /// Of the forward operator.
    pub smoothing: f32,
}

/// Gradient of a [`TargetLoss`](super::TargetLoss) with respect to the logits; operands as there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetLossBackward {
    /// Of the forward operator.
    pub attrs: LossAttrs,
}

/// The optimizer's update, in place: `param, grad`. No result. The learning rate lies in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// What is done, with its constants.
    pub rule: UpdateRule,
    /// Factor of the learning rate.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lr_scale: f32,
}
