//! Normalisation, of batches and of groups: statistics, their use, and both gradients.

mod apply;
pub mod group;
pub mod group_backward;
pub mod stats;

pub use apply::*;
