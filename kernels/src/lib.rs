//! `resnetc-kernels`: vectorised kernels for CPUs, on NHWC feature maps and HWIO weights, forward and backward.
//!
//! Nothing here knows of plans in memory, devices or trainings: `resnetc-runtime` places the operands, checks them once, and calls. From the
//! ground up:
//!
//! - [`memory`]: what kernels read and write, and views of it; [`threads`]: who runs a kernel, in a static partition;
//!   [`simd`]: one vector type, compiled for AVX-512, AVX2, NEON and plain Rust, of which one is picked at start.
//! - [`ctx`]: what each kernel gets of these; [`maps`]: how feature maps are stored, walked and summed; [`random`]: what is dropped.
//! - Kernels, functions of the [`Ctx`], their sizes and views of their operands: [`pointwise`], [`pooling`], [`norm`], and
//!   [`conv`], whose algorithms are chosen for a [`machine`] by their cost ([`choice`]).

pub mod choice;
pub mod conv;
pub mod ctx;
pub mod error;
pub mod machine;
pub mod maps;
pub mod memory;
pub mod norm;
pub mod pointwise;
pub mod pooling;
pub mod random;
pub mod simd;
pub mod threads;

pub use ctx::Ctx;
