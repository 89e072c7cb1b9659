//! Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1: 36 multiplications per 4x4 output pixels and
//! pair of channels instead of 144 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; points 0, 1,
//! -1, 2, -2 and infinity).
//!
//! `transform` holds the transforms, `patches` says which pixels they are of, `pack` transforms
//! weights, `product` multiplies them. `forward` runs the convolution and, as one
//! over `dy`, the gradient of the input; `filter` its adjoint, the gradient of the weights.

mod filter;
mod forward;
mod pack;
mod patches;
mod product;
#[cfg(test)]
mod tests;
mod transform;

use resnetc_compiler::plan::ConvGeometry;

pub use filter::WinogradFilter;
pub use forward::Winograd;
pub use transform::POINTS;

use crate::cpu::isa::Isa;

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
