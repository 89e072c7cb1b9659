//! The CPU backend: the kernels of `resnetc-kernels`, on a plan's memory.
//!
//! - [`tune`]: what this machine was measured to do.
//! - `step`: refuses a plan whose steps would touch memory outside of their buffers, decides about each step once, and runs it;
//!   `ranks`: the steps that talk to other ranks.
//! - [`device`]: weights and plans, [`session`]: runs; both behind [`Device`](crate::device::Device) and
//!   [`Session`](crate::device::Session).

pub mod device;
mod ranks;
pub mod session;
mod step;
pub mod tune;

pub use resnetc_kernels::{Ctx, conv, machine, maps, memory, norm, pointwise, pooling, simd, threads};

pub use device::CpuDevice;
pub use session::CpuSession;
