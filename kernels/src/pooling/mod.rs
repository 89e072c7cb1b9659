//! Pooling: over windows, blurred, and over whole images.

pub mod blur;
pub mod global_average;
pub mod global_max;
mod window;

pub use window::*;
