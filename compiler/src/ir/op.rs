//! The operators: one closed enum, attributes only. Operands are edges of the graph, in the order documented here.
//!
//! No `_ =>` arm anywhere matches an [`Op`]: a new one makes the compiler name every place that has to know it.

pub use super::activation::{Activation, GradFrom};
pub use super::init::{ConvInit, Fan, Init};
pub use super::persistent::{BnTensors, Recipe, Role};

use serde::{Deserialize, Serialize};

use super::types::Shape;

/// What a convolution, normalisation or product does to its result before storing it: `act(y + residual)`.
/// All absent until the fusing passes run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Epilogue {
    /// The node's last operand, of the result's shape, is added.
    pub residual: bool,
    /// Applied last.
    pub act: Option<Activation>,
}

impl Epilogue {
    /// Whether the gradient of a batch normalisation needs the sign of what the activation was applied to, and can compute
    /// that anew from its input, nothing having been added: a map less to read than with the result.
    pub fn recomputes_sign(&self) -> bool {
        let by_sign = matches!(self.act, Some(Activation::Relu | Activation::LeakyRelu { .. }));
        by_sign && !self.residual
    }
}

/// Window of a convolution; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvAttrs {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Zeros around the image, the same on both sides.
    pub padding: [usize; 2],
    /// Step between the taps of a window.
    pub dilation: [usize; 2],
    /// Channel groups; both channel counts are multiples of it.
    pub groups: usize,
}

/// Window of a pooling; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolAttrs {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Border around the image, never the maximum.
    pub padding: [usize; 2],
    /// Whether a last, incomplete window counts (PyTorch's `ceil_mode`).
    pub ceil: bool,
    /// Average only: whether the border counts in the divisor (PyTorch's `count_include_pad`).
    pub count_padding: bool,
}

/// How a unit's shortcut makes the input fit the main branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortcutRule {
    /// Always the input itself.
    Identity,
    /// Option A of He et al. 2015: identity; where shapes differ, take every stride-th pixel and pad channels with zeros.
    Pad,
    /// Option B: identity; where shapes differ, 1x1 convolution with the stride, and normalisation.
    Projection,
    /// Option C: always 1x1 convolution and normalisation.
    AlwaysProject,
}

/// Which normalisation, before it meets the channels it works on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Over the batch and the pixels, per channel: [`Op::BatchNorm`].
    Batch {
        /// Added to the variance.
        eps: f32,
        /// Weight of the batch in the running statistics.
        momentum: f32,
    },
    /// Over the pixels and the channels of a group, per image: [`Op::GroupNorm`].
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

    /// The operator, without an epilogue.
    pub fn op(self) -> Op {
        let epilogue = Epilogue::default();
        match self {
            Norm::Batch { eps, momentum } => Op::BatchNorm { eps, momentum, epilogue },
            Norm::Group { groups, eps } => Op::GroupNorm { groups, eps, epilogue },
        }
    }

    /// The operator's vectors of one number per channel, in the order of its operands: how each is called, what it is,
    /// and its first value.
    pub fn tensors(self) -> &'static [(&'static str, Role, f32)] {
        const ALL: &[(&str, Role, f32)] = &[
            ("scale", Role::NormScale, 1.0),
            ("shift", Role::NormShift, 0.0),
            ("running_mean", Role::RunningMean, 0.0),
            ("running_var", Role::RunningVar, 1.0),
        ];
        match self {
            Norm::Batch { .. } => ALL,
            Norm::Group { .. } => &ALL[..2],
        }
    }
}

/// What a random operator drops as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropPart {
    /// Each element for itself: dropout (Srivastava et al. 2014).
    Element,
    /// Everything of an image: stochastic depth (Huang et al. 2016), drop path.
    Image,
    /// Squares within each channel of each image: DropBlock (Ghiasi et al. 2018).
    Block {
        /// Rows and columns of a square; where the image is smaller, the image's.
        size: usize,
    },
}

/// An operator. `x`, `dy` and results are feature maps `[n, c, h, w]` unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The batch of images. No operands.
    Input {
        /// `[n, c, h, w]`
        shape: Shape,
    },
    /// The batch's classes, `[n]` of `u32`. No operands.
    Labels {
        /// Images in the batch.
        batch: usize,
    },
    /// A persistent tensor, trained or a running statistic. No operands. The node's name is the tensor's name in
    /// checkpoints: `stage1.unit0.conv1.weight`.
    Param {
        /// Logical shape.
        shape: Shape,
        /// What it is.
        role: Role,
        /// First values.
        init: Init,
        /// Where its values come from.
        recipe: Recipe,
    },
    /// Convolution: `x, weight [, bias] [, residual]`.
    Conv {
        /// Window.
        attrs: ConvAttrs,
        /// Whether there is a bias operand.
        bias: bool,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// Batch normalisation over `n, h, w`: `x, scale, shift, running_mean, running_var [, residual]`.
    ///
    /// In a training graph it has three results: the normalised map, the batch's mean `[c]` and the reciprocal
    /// standard deviation `[c]`; and it updates the running statistics as PyTorch does (unbiased variance). In an
    /// inference graph it has one and normalises by the running statistics; the folding pass removes it.
    BatchNorm {
        /// Added to the variance.
        eps: f32,
        /// Weight of the batch in the running statistics (PyTorch's convention).
        momentum: f32,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// Group normalisation (Wu and He 2018): `x, scale, shift [, residual]`. Each image by itself, over `h`, `w` and the
    /// channels of a group, the same in training and in inference; scale and shift are per channel. Three results: the
    /// normalised map, the mean `[n, groups]` and the reciprocal standard deviation `[n, groups]`.
    GroupNorm {
        /// Groups of channels that lie side by side; they divide the channels.
        groups: usize,
        /// Added to the variance.
        eps: f32,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// `scale[c] * x + shift[c]`: `x, scale, shift [, residual]`. What remains in inference of a batch normalisation
    /// that no convolution took in.
    Affine {
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// Elementwise: `x`.
    Activate {
        /// Which one.
        act: Activation,
    },
    /// Elementwise sum of two values of one shape: `a, b`.
    Add {
        /// Applied to the sum. In training one whose gradient is computed from its result: the sum is not kept.
        act: Option<Activation>,
    },
    /// Elementwise product: `a, b [, residual]`, both of one shape, or one of them a map `[n, c, h, w]` and the other its
    /// gate `[n, c, 1, 1]`, which multiplies every pixel.
    Mul {
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// `scale * x + shift` with constants: `x`.
    ScaleShift {
        /// Factor.
        scale: f32,
        /// Summand.
        shift: f32,
    },
    /// Sets random parts of `x` to zero and scales the rest so that the mean stays: `x`. Its own gradient: `dx` is the same
    /// operator applied to `dy`, with the same random numbers. The identity in inference, where a pass removes it.
    ///
    /// Elements and images: each is dropped with the probability `rate`, the rest times `1 / (1 - rate)`. Blocks: with
    /// the probability `rate * h * w / (size^2 * (h - size + 1) * (w - size + 1))` each place that has room for a square
    /// starts one to be dropped; the rest times the elements of `x` over those left.
    ///
    /// Random numbers are a function of the run's seed, the training step, `stream`, and the index of the element (in the
    /// order `[n][h][w][c]`) or image; see `resnetc_runtime::random`.
    Drop {
        /// What is dropped as a whole.
        part: DropPart,
        /// Share that is dropped, from 0 to below 1.
        rate: f32,
        /// Tells the network's random operators apart.
        stream: u64,
    },
    /// Maximum over windows: `x`. Two results: the maxima, and each one's position in its window, row-major, as `u8`.
    MaxPool {
        /// Window.
        attrs: PoolAttrs,
    },
    /// Mean over windows: `x`.
    AvgPool {
        /// Window.
        attrs: PoolAttrs,
    },
    /// Mean over the image, to `[n, c, 1, 1]`: `x`.
    GlobalAvgPool,
    /// Maximum over the image, to `[n, c, 1, 1]`: `x`. Two results: the maxima, and each one's pixel, row-major, as `u32`.
    GlobalMaxPool,
    /// Blur with the binomial filter `[1, 2, 1]` in both directions, the image mirrored at its border, at every
    /// `stride`-th pixel (Zhang 2019): `x`.
    BlurPool {
        /// Step between the pixels taken.
        stride: [usize; 2],
    },
    /// Convolution along the channels of `x [n, c, 1, 1]` with one filter `[1, 1, k]`, `k` odd, zeros beyond the first
    /// and the last channel (Wang et al. 2020, ECA): `x, weight`.
    ChannelConv,
    /// Channels of all operands after one another: two maps or more of one batch and one image size.
    Concat {
        /// How many.
        operands: usize,
    },
    /// Affine map of all features to `[n, out]`: `x, weight [, bias]` where `x` is `[n, in]` or `[n, in, 1, 1]`.
    Linear {
        /// Whether there is a bias operand.
        bias: bool,
    },
    /// A unit's shortcut before the expanding pass has decided what it is: `x, like`. The result has the shape of
    /// `like` (the main branch). Legal only before the stage `Expanded`.
    Shortcut {
        /// How to make the shapes agree.
        rule: ShortcutRule,
        /// What stands behind a projection.
        norm: Norm,
        /// First values of a projection's weight; fans are put in when its shape is known.
        init: ConvInit,
    },
    /// Option A's shortcut: every `stride`-th pixel, `channels` channels of which the input's are the middle
    /// (zeros before: half the difference, rounded down): `x`.
    PadShortcut {
        /// Step between the pixels taken.
        stride: [usize; 2],
        /// Channels of the result.
        channels: usize,
    },
    /// Softmax over the last dimension: `logits [n, classes]`.
    Softmax,
    /// Mean cross-entropy of softmaxed logits: `logits [n, classes], labels [n]`. Two results: the loss, and the
    /// number of images whose largest logit is at the label; both scalars of `f32`.
    CrossEntropy {
        /// Weight of the uniform distribution in the target (label smoothing).
        smoothing: f32,
    },

    // From here on only from the stage `Differentiated`.
    /// Gradient of a convolution's input: `dy, weight`. The result has the given shape.
    ConvBackwardData {
        /// Window of the forward convolution.
        attrs: ConvAttrs,
        /// Shape of the forward input.
        input: Shape,
        /// The last operand, of the result's shape, is added (gradient from another user of the input).
        residual: bool,
    },
    /// Gradient of a convolution's weight: `x, dy`. The result has the given shape.
    ConvBackwardFilter {
        /// Window of the forward convolution.
        attrs: ConvAttrs,
        /// Logical shape of the weight.
        weight: Shape,
    },
    /// Sum over everything but channels, a bias' gradient, `[c]`: `dy`.
    ChannelSum,
    /// Gradient of a training batch normalisation: `dy, x, mean, rstd, scale [, shift | , y]`. Where the epilogue has
    /// an activation, `shift` is there to compute anew what that was applied to ([`Epilogue::recomputes_sign`]), else
    /// `y`, the forward result. Results: `dx, dscale, dshift`, and the residual's gradient when the epilogue has one.
    BatchNormBackward {
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// Gradient of a group normalisation: operands and results as those of [`Op::BatchNormBackward`], always with `y`, the
    /// mean and the deviation `[n, groups]`.
    GroupNormBackward {
        /// Of the forward operator.
        groups: usize,
        /// Likewise.
        epilogue: Epilogue,
    },
    /// Gradient of an activation: `dy, y` where `y` is its result or its input, as [`Activation::grad_from`] says.
    ActivateBackward {
        /// Which one.
        act: Activation,
    },
    /// Gradients of a product: `dy, a, b [, y]` where `y` is the forward result, there when the epilogue has an
    /// activation. Results: `da, db`, and the residual's gradient when the epilogue has a residual, which it then has
    /// only beside an activation: without one that gradient is `dy` itself.
    MulBackward {
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// Gradient of a maximum over windows: `dy, positions`. The result has the given shape.
    MaxPoolBackward {
        /// Window.
        attrs: PoolAttrs,
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of a mean over windows: `dy`.
    AvgPoolBackward {
        /// Window.
        attrs: PoolAttrs,
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of the mean over the image: `dy [n, c, 1, 1]`.
    GlobalAvgPoolBackward {
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of the maximum over the image: `dy [n, c, 1, 1], pixels`.
    GlobalMaxPoolBackward {
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of a blur: `dy`.
    BlurPoolBackward {
        /// Of the forward operator.
        stride: [usize; 2],
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of the input of a convolution along channels: `dy, weight`.
    ChannelConvBackwardData,
    /// Gradient of its weight, `[1, 1, kernel]`: `x, dy`.
    ChannelConvBackwardFilter {
        /// Channels that the filter spans.
        kernel: usize,
    },
    /// Channels `start..start + channels` of a map, the gradient of one operand of [`Op::Concat`]: `dy`.
    ChannelSlice {
        /// First channel taken.
        start: usize,
        /// Channels of the result.
        channels: usize,
    },
    /// Gradient of a linear layer's input: `dy [n, out], weight`. The result has the given shape.
    LinearBackwardData {
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of a linear layer's weight, `[out, in]`: `x, dy`.
    LinearBackwardFilter,
    /// Gradient of [`Op::PadShortcut`]: `dy`.
    PadShortcutBackward {
        /// Of the forward operator.
        stride: [usize; 2],
        /// Shape of the forward input.
        input: Shape,
    },
    /// Gradient of the mean cross-entropy with respect to the logits: `logits, labels`.
    CrossEntropyBackward {
        /// Of the forward operator.
        smoothing: f32,
    },
    /// PyTorch's SGD, in place: `param, grad`. No result. The learning rate is an argument of each step.
    SgdUpdate {
        /// Constants of the update.
        sgd: SgdAttrs,
    },
}

/// Constants of PyTorch's SGD:
/// `g += weight_decay * p; v = momentum * v + (1 - dampening) * g` (first step: `v = g`);
/// `g = nesterov ? g + momentum * v : v` (or `g` where momentum is 0); `p -= lr * g`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SgdAttrs {
    /// Factor of the velocity.
    pub momentum: f32,
    /// Damping of the gradient's entry into the velocity.
    pub dampening: f32,
    /// Nesterov's form.
    pub nesterov: bool,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f32,
}
