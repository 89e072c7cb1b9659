//! One module per command; [`spec`] and [`device`] are what they share.

pub mod bench;
pub mod build;
pub mod check;
pub mod data;
pub mod device;
pub mod eval;
pub mod predict;
pub mod run;
pub mod spec;
pub mod train;
