//! The oracle: every kernel through plain Candle tensor operations, on any Candle device, in `f32` or `f64`.
//!
//! Clarity over speed. Tensors are kept in the logical order of their shapes (feature maps `[n, c, h, w]`, weights
//! `[cout, cin / groups, kh, kw]`), each value of the arena in a tensor of its own: two buffers that share memory in
//! the plan share none here, so a planning fault shows as a disagreement with the other devices. Reading a value that
//! no step has written is an error. Values of narrow types are rounded when they are written, but held, and computed on,
//! in the device's own precision.

#![forbid(unsafe_code)]

mod accumulate;
mod blur;
mod clip;
mod conv;
mod device;
mod effects;
mod evaluate;
mod group_norm;
mod loss;
mod loss_scale;
mod memory;
mod norm;
#[cfg(feature = "cuda-emulated")]
pub(crate) mod once;
mod pointwise;
mod pool;
mod product;
mod ranks;
mod target_loss;
mod update;
mod windows;

pub use device::{ReferenceDevice, ReferenceSession};
