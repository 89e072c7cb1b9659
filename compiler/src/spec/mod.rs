//! The spec language: text to resolved spec.

pub mod train;
