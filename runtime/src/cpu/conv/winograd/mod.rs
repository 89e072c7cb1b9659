//! Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1: 36 multiplications per 4x4 output pixels and
//! pair of channels instead of 144 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; points 0, 1,
//! -1, 2, -2 and infinity); and F(2x2, 3x3), 16 instead of 36, whose weights are less than half as much: of maps of few
//! pixels they are what takes the time.
//!
//! `transform` holds the transforms, `patches` says which pixels they are of, `pack` transforms
//! weights, `product` multiplies them. `forward` runs the convolution and, as one
//! over `dy`, the gradient of the input, in a way that `partition` decides; `filter` its adjoint, the gradient of the weights.

mod filter;
mod forward;
mod pack;
mod partition;
mod patches;
mod product;
#[cfg(test)]
mod tests;
mod transform;

use resnetc_compiler::plan::ConvGeometry;

pub use filter::WinogradFilter;
pub use forward::Winograd;

use crate::cpu::simd::Isa;

/// Size of the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// F(4x4, 3x3): 4x4 output pixels of 6x6 input pixels.
    Four,
    /// F(2x2, 3x3): 2x2 output pixels of 4x4 input pixels.
    Two,
}

impl Size {
    /// Rows and columns of output pixels of a patch.
    pub const fn output(self) -> usize {
        match self {
            Size::Four => 4,
            Size::Two => 2,
        }
    }

    /// Elements of a transformed patch: as many as it has input pixels.
    pub const fn points(self) -> usize {
        (self.output() + 2).pow(2)
    }
}

/// Floats between the planes of two points beyond their contents: planes whose distance is a power of two would meet in
/// the same few sets of the first-level cache.
const PLANE_PAD: usize = 16;

/// Whether the algorithm applies: the window is its own, and all channels fill vectors.
fn applies(g: &ConvGeometry, isa: Isa) -> bool {
    let a = &g.attrs;
    let window = a.kernel == [3, 3] && a.stride == [1, 1] && a.dilation == [1, 1] && a.groups == 1;
    let whole = |channels: usize| channels.is_multiple_of(isa.lanes());
    window && a.padding.iter().all(|&p| p <= 2) && whole(g.cin) && whole(g.cout)
}
