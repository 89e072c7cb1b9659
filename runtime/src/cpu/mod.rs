//! The CPU backend: own vectorised kernels on NHWC feature maps, HWIO weights.
//!
//! From the ground up:
//!
//! - [`memory`]: what kernels read and write, and views of it; [`threads`]: who runs a kernel, in a static partition;
//!   [`simd`]: one vector type, compiled for AVX-512, AVX2, NEON and plain Rust, of which one is picked at start.
//! - [`ctx`]: what each kernel gets of these; [`maps`]: how feature maps are stored, walked and summed.
//! - Kernels, functions of the [`Ctx`], their sizes and views of their operands: [`pointwise`], [`pooling`], [`norm`], and
//!   [`conv`], whose algorithms are chosen for a [`machine`] by their cost.
//! - [`tune`]: what this machine was measured to do.
//! - `step`: refuses a plan whose steps would touch memory outside of their buffers, decides about each step once, and runs it.
//! - [`device`]: weights and plans, [`session`]: runs; both behind [`Device`](crate::device::Device) and
//!   [`Session`](crate::device::Session).

pub mod conv;
pub mod ctx;
pub mod device;
pub mod machine;
pub mod maps;
pub mod memory;
pub mod norm;
pub mod pointwise;
pub mod pooling;
mod ranks;
pub mod session;
pub mod simd;
mod step;
pub mod threads;
pub mod tune;

pub use ctx::Ctx;
pub use device::CpuDevice;
pub use session::CpuSession;
