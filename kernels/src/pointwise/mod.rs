//! Kernels whose results depend on single elements, pixels or images, and the functions they apply.

pub mod accumulate;
pub(crate) mod activation;
pub mod average;
pub mod clip;
pub mod concat;
pub mod drop;
pub mod elementwise;
pub mod loss;
pub mod loss_scale;
pub mod product;
pub mod shortcut;
pub mod target_loss;
pub mod update;
