//! The sections of a spec: each with the table of its keys, its reader, and what comes out.

pub mod expect;
pub mod group;
pub mod init;
pub mod layers;
pub mod network;
pub mod norm;
pub mod output_stride;
pub mod preprocess;
pub mod shortcut;
pub mod stages;
pub mod sweep;
pub mod top;
pub mod train;
pub mod units;
