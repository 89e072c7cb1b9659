//! `resnetc-runtime`: runs and trains the plans of `resnetc-compiler`.

pub mod cpu;
pub mod device;
pub mod error;
pub mod exec;
pub mod init;
pub mod reference;
pub mod weights;
