//! What becomes of a convolution's sums.

use resnetc_compiler::ir::op::Activation;

use crate::maps::MapSrc;
use crate::memory::Src;

/// What is added to and done with the result before it is stored.
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// `[channels]`
    pub bias: Option<Src<'a, f32>>,
    /// Of the result's shape, without gaps; may be the result's memory.
    pub residual: Option<MapSrc<'a>>,
    /// Applied last.
    pub act: Option<Activation>,
    /// Floats between the pixels of the result.
    pub gap: usize,
}

impl Epilogue<'_> {
    /// Checks that operands are those of a result of so many pixels and channels.
    pub(super) fn expect(&self, pixels: usize, channels: usize) {
        assert!(self.bias.is_none_or(|b| b.len() == channels), "bias");
        assert!(self.residual.is_none_or(|r| r.len() == pixels * channels), "residual");
    }
}
