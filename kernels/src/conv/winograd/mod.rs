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
mod offer;
mod pack;
mod partition;
mod patches;
mod product;
mod size;
#[cfg(test)]
mod tests;
mod transform;

#[cfg(test)]
pub use filter::WinogradFilter;
#[cfg(test)]
pub use forward::WinogradConvolution;
pub use offer::Winograd;
#[cfg(test)]
pub use offer::applies;
pub use size::Size;
