//! What this machine was measured to do.

mod tuning;

pub mod roofline;
pub use tuning::*;
