//! Direct convolutions: in `f32`, and of pairs of bf16 where an instruction adds up their products.

mod dot;
pub(super) mod filter;
mod filter_pack;
pub(super) mod forward;
mod offer;
mod partition;
pub(super) mod phase;
mod worker;

#[cfg(test)]
pub(super) use dot::DotConvolution;
pub(super) use offer::{Bf16Dot, Direct};
