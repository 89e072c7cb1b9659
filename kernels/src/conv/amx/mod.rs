//! Convolutions on the processor's AMX unit: in bf16, and in f32 as products of three bf16 terms ([`split`]).
//!
//! A band of the map that is read is copied to bf16 with zeros around it ([`map`]); tiles of `A` are then loaded straight
//! from the copy, 16 output pixels by 32 channels (or, of maps with few channels, by a row of taps that lie side by side),
//! tiles of `B` from packed weights. `forward` runs the forward convolution and the gradient of the input, `filter` the
//! gradient of the weights, of maps with few channels over [`windows`] of them.

mod element;
mod epilogue;
mod filter;
mod forward;
mod map;
mod offer;
mod peak;
mod product;
mod schedule;
mod split;
mod tiles;
mod weights;
mod windows;
mod worker;

pub use offer::Amx;
pub use peak::{TILES_OPERATIONS, multiply_tiles};
