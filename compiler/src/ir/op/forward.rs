//! The operators of forward passes. `x` and results are feature maps `[n, c, h, w]` unless said otherwise.

use serde::{Deserialize, Serialize};

use super::Norm;
use crate::ir::activation::Activation;
use crate::ir::attrs::{ConvAttrs, DropPart, Epilogue, PoolAttrs, ShortcutRule};
use crate::ir::init::{ConvInit, Init};
use crate::ir::objective::LossAttrs;
use crate::ir::persistent::{Recipe, Role};
use crate::ir::types::Shape;

/// The batch of images. No operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// `[n, c, h, w]`
    pub shape: Shape,
}

/// The batch's classes, `[n]` of `u32`. No operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Images in the batch.
    pub batch: usize,
}

/// What the images of a mixed batch are mixed with. No operands. Two results, `[n]` each: the class of the other image, of `u32`, and
/// the share of the first one, of `f32`, in `0..=1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partners {
    /// Images in the batch.
    pub batch: usize,
}

/// Another network's logits of the batch, which are learned from: `[n, classes]`. No operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Teacher {
    /// Images in the batch.
    pub batch: usize,
    /// Width of the logits.
    pub classes: usize,
}

/// A persistent tensor, trained or a running statistic. No operands. The node's name is the tensor's name in
/// checkpoints: `stage1.unit0.conv1.weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Logical shape.
    pub shape: Shape,
    /// What it is.
    pub role: Role,
    /// First values.
    pub init: Init,
    /// Where its values come from.
    pub recipe: Recipe,
}

/// Convolution: `x, weight [, bias] [, residual]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Window.
    pub attrs: ConvAttrs,
    /// Whether there is a bias operand.
    pub bias: bool,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

/// Batch normalisation over `n, h, w`: `x, scale, shift, running_mean, running_var [, residual]`.
///
/// In a training graph it has three results: the normalised map, the batch's mean `[c]` and the reciprocal
/// standard deviation `[c]`; and it updates the running statistics as PyTorch does (unbiased variance). In an
/// inference graph it has one and normalises by the running statistics; the folding pass removes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics (PyTorch's convention).
    pub momentum: f32,
    /// Of a frozen part, in training: it normalises by the running statistics and does not move them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still: bool,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

/// Group normalisation (Wu and He 2018): `x, scale, shift [, residual]`. Each image by itself, over `h`, `w` and the
/// channels of a group, the same in training and in inference; scale and shift are per channel. Three results: the
/// normalised map, the mean `[n, groups]` and the reciprocal standard deviation `[n, groups]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// Groups of channels that lie side by side; they divide the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

/// `scale[c] * x + shift[c]`: `x, scale, shift [, residual]`. What remains in inference of a batch normalisation
/// that no convolution took in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Applied before the store.
    pub epilogue: Epilogue,
}

/// Elementwise: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activate {
    /// Which one.
    pub act: Activation,
}

/// Elementwise sum of two values of one shape: `a, b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// Applied to the sum. In training one whose gradient is computed from its result: the sum is not kept.
    pub act: Option<Activation>,
}

/// Elementwise product: `a, b [, residual]`, both of one shape, or one of them a map `[n, c, h, w]` and the other its
/// gate `[n, c, 1, 1]`, which multiplies every pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mul {
    /// Applied before the store.
    pub epilogue: Epilogue,
}

/// `scale * x + shift` with constants: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleShift {
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub shift: f32,
}

/// Sets random parts of `x` to zero and scales the rest so that the mean stays: `x`. Its own gradient: `dx` is the same
/// operator applied to `dy`, with the same random numbers. The identity in inference, where a pass removes it.
///
/// Elements and images: each is dropped with the probability `rate`, the rest times `1 / (1 - rate)`. Blocks: with
/// the probability `rate * h * w / (size^2 * (h - size + 1) * (w - size + 1))` each place that has room for a square
/// starts one to be dropped; the rest times the elements of `x` over those left.
///
/// Random numbers are a function of the run's seed, the training step, `stream`, and the index of the element (in the
/// order `[n][h][w][c]`) or image; see `resnetc_kernels::random`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drop {
    /// What is dropped as a whole.
    pub part: DropPart,
    /// Share that is dropped, from 0 to below 1.
    pub rate: f32,
    /// Tells the network's random operators apart.
    pub stream: u64,
}

/// Maximum over windows: `x`. Two results: the maxima, and each one's position in its window, row-major, as `u8`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Window.
    pub attrs: PoolAttrs,
}

/// Mean over windows: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Window.
    pub attrs: PoolAttrs,
}

/// Mean over the image, to `[n, c, 1, 1]`: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalAvgPool;

/// Maximum over the image, to `[n, c, 1, 1]`: `x`. Two results: the maxima, and each one's pixel, row-major, as `u32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalMaxPool;

/// Blur with the binomial filter `[1, 2, 1]` in both directions, the image mirrored at its border, at every
/// `stride`-th pixel (Zhang 2019): `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlurPool {
    /// Step between the pixels taken.
    pub stride: [usize; 2],
}

/// Convolution along the channels of `x [n, c, 1, 1]` with one filter `[1, 1, k]`, `k` odd, zeros beyond the first
/// and the last channel (Wang et al. 2020, ECA): `x, weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelConv;

/// Channels of all operands after one another: two maps or more of one batch and one image size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concat {
    /// How many.
    pub operands: usize,
}

/// Affine map of all features to `[n, out]`: `x, weight [, bias]` where `x` is `[n, in]` or `[n, in, 1, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Whether there is a bias operand.
    pub bias: bool,
}

/// A unit's shortcut before the expanding pass has decided what it is: `x, like`. The result has the shape of
/// `like` (the main branch). Legal only before the stage `Expanded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shortcut {
    /// How to make the shapes agree.
    pub rule: ShortcutRule,
    /// What stands behind a projection.
    pub norm: Norm,
    /// First values of a projection's weight; fans are put in when its shape is known.
    pub init: ConvInit,
}

/// Option A's shortcut: every `stride`-th pixel, `channels` channels of which the input's are the middle
/// (zeros before: half the difference, rounded down): `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PadShortcut {
    /// Step between the pixels taken.
    pub stride: [usize; 2],
    /// Channels of the result.
    pub channels: usize,
}

/// Channels of zeros around those of the input: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PadChannels {
    /// Channels of the result.
    pub channels: usize,
    /// How many of them are zeros in front of the input's.
    pub before: usize,
}

/// A map of one pixel, `[n, c, 1, 1]`, as a matrix `[n, c]`; a matrix stays one: `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flatten;

/// Softmax over the last dimension: `logits [n, classes]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Softmax;

/// Mean cross-entropy of softmaxed logits: `logits [n, classes], labels [n]`. Two results: the loss, and the
/// number of images whose largest logit is at the label; both scalars of `f32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropy {
    /// Weight of the uniform distribution in the target (label smoothing).
    pub smoothing: f32,
}

/// A loss of logits against targets made of labels: `logits [n, classes], labels [n] [, others [n], shares [n]]`. The target of an image
/// is `(1 - s) * (share * onehot(label) + (1 - share) * onehot(other)) + s / classes` with smoothing `s`; where images are not mixed, the
/// share is 1. Results as those of [`CrossEntropy`], which is the same without weights and mixtures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetLoss {
    /// Which one.
    pub attrs: LossAttrs,
}
