//! Convolutions on the processor's matrix unit: in bf16, and in f32 as products of three bf16 planes ([`planes`]).
//!
//! A band of the map that is read is copied to bf16 with zeros around it ([`map`]); tiles of `A` are then loaded straight
//! from the copy, 16 output pixels by 32 channels (or, of maps with few channels, by a row of taps that lie side by side),
//! tiles of `B` from packed weights. `forward` runs the forward convolution and the gradient of the input, `filter` the
//! gradient of the weights.

mod element;
mod filter;
mod forward;
mod machine;
mod map;
mod planes;
mod product;
mod weights;

pub use filter::MatrixFilter;
pub use forward::MatrixConvolution;
pub use machine::available;

/// How convolutions multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planes {
    /// Factors are rounded to bf16.
    One,
    /// Factors are f32, split exactly into three bf16.
    Three,
}

impl Planes {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Planes::One => 1,
            Planes::Three => 3,
        }
    }

    /// Products of planes that make a product.
    pub fn products(self) -> usize {
        match self {
            Planes::One => 1,
            Planes::Three => 6,
        }
    }
}
