//! One module per command; [`spec`], [`setup`] and [`workload`] are what they share.

pub mod bench;
pub mod build;
pub mod check;
pub mod compile;
pub mod data;
pub mod devices;
pub mod diff;
pub mod eval;
pub mod explain;
pub mod export;
pub mod import;
pub mod lint;
pub mod list;
pub mod new;
pub mod pictures;
pub mod predict;
pub mod run;
pub mod setup;
pub mod spec;
pub mod survey;
pub mod tensors;
pub mod train;
pub mod tune;
pub mod verify;
pub mod weights;
pub mod workload;
