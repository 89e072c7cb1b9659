//! `resnetc-runtime`: runs and trains the plans of `resnetc-compiler`.

pub mod checkpoint;
pub mod cpu;
pub mod cuda;
pub mod data;
pub mod device;
pub mod engines;
pub mod error;
pub mod evaluation;
pub mod exec;
pub mod files;
mod hex;
mod hostname;
pub mod identity;
pub mod init;
mod lines;
mod lock;
pub mod memory;
pub mod metrics;
pub mod optim;
pub mod patience;
mod placement;
pub mod ranks;
pub mod reference;
pub mod roofline;
pub mod settings;
pub mod train;
pub mod views;
pub mod weights;

pub use resnetc_kernels::random;
