//! A layer with all its numbers known.

use crate::ir::op::{Activation, ConvAttrs, DropPart, Norm, PoolAttrs};

/// A layer with all its numbers known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layer {
    /// Convolution to `out` channels.
    Conv {
        /// Channels of the result.
        out: usize,
        /// Window.
        attrs: ConvAttrs,
        /// Whether a bias is added.
        bias: bool,
        /// First value of the bias, where it is not drawn.
        bias_init: Option<f32>,
    },
    /// Normalisation.
    Norm(Norm),
    /// Elementwise nonlinearity.
    Activate(Activation),
    /// Random zeros in training.
    Drop {
        /// What is dropped as a whole.
        part: DropPart,
        /// Share that is dropped.
        rate: f32,
    },
    /// Maximum over windows.
    MaxPool(PoolAttrs),
    /// All values times a constant.
    Scale(f64),
    /// Mean over windows.
    AvgPool(PoolAttrs),
    /// Binomial blur.
    BlurPool {
        /// Step between the pixels taken.
        stride: [usize; 2],
    },
    /// Mean over the image.
    GlobalAvgPool,
    /// Maximum over the image.
    GlobalMaxPool,
    /// Convolution along channels.
    ChannelConv {
        /// Channels that the filter spans; `None`: as many as the rule says.
        kernel: Option<usize>,
    },
    /// Gate of a convolution along channels of the image's mean.
    Eca {
        /// As in [`Layer::ChannelConv`].
        kernel: Option<usize>,
    },
    /// A map of one pixel as a vector.
    Flatten,
    /// Channels of zeros beside the map's own.
    PadChannels {
        /// Channels of the result.
        out: usize,
        /// How many of zeros stand before the map's own.
        before: usize,
    },
    /// Affine map of all features.
    Linear {
        /// Features of the result.
        out: usize,
        /// Whether a bias is added.
        bias: bool,
    },
}
