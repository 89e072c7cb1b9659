//! `resnetc`: residual networks from a declarative spec, compiled, trained and run.
//!
//! The library under the command line. It reads no environment variable, prints nothing and never exits: options are
//! arguments, results are values, mistakes are an [`Error`].

#![forbid(unsafe_code)]

pub mod device;
pub mod error;
pub mod spec;
pub mod train;

pub use resnetc_compiler as compiler;
pub use resnetc_runtime as runtime;

pub use device::{DeviceKind, DeviceOptions};
pub use error::{Error, Faults, Result};
pub use spec::{Spec, SpecOptions};
pub use train::{Trainer, TrainerBuilder};
