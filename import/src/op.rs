//! What layers do, in whatever program.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

/// What a node does. Attributes only; operands are edges.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// The image.
    Input,
    /// Tensors: weight `[out, in / groups, kh, kw]`, bias where it has one.
    Conv { out: usize, attrs: ConvAttrs, bias: bool },
    /// Batch normalisation. Tensors: scale, shift, running mean, running variance.
    Norm { eps: f32 },
    /// Elementwise.
    Activate(Activation),
    /// Maximum over windows. With a window of one pixel: every `stride`-th pixel.
    MaxPool(PoolAttrs),
    /// Mean over windows.
    AvgPool(PoolAttrs),
    /// Mean over the image.
    GlobalAvgPool,
    /// Maximum over the image.
    GlobalMaxPool,
    /// Sum of two maps.
    Add,
    /// Product of two maps, of which one may have a single pixel.
    Mul,
    /// Channels after one another.
    Concat,
    /// Channels of zeros beside those of the map.
    PadChannels { out: usize, before: usize },
    /// Of a map of one pixel. Tensors: weight `[out, in]`, bias where it has one.
    Linear { out: usize, bias: bool },
}
