//! `resnetc`: residual networks from a declarative spec, compiled, trained and run.
//!
//! The library under the command line. It reads no environment variable, prints nothing and never exits: options are
//! arguments, results are values, mistakes are an [`Error`].
//!
//! - A [`Spec`] is a network as its file, a text or a compiled-in name describes it.
//! - A [`Model`] is a spec with weights on a device; it does not change, and is shared.
//! - A [`Session`] runs a model. Any number of them share its weights, each on a thread of its own.
//! - A [`Trainer`] trains a spec on a data set, and leaves checkpoints that models are made of.
//!
//! ```
//! use resnetc::{DeviceOptions, Model, Spec, SpecOptions};
//!
//! # fn main() -> resnetc::Result<()> {
//! let spec = Spec::builtin("resnet20", &SpecOptions::default().set("classes=7"))?;
//! let model = Model::initial(&spec, &DeviceOptions::cpu(1))?;
//! let logits = model.session()?.run(&vec![0.5; 2 * 3 * 32 * 32])?;
//! assert_eq!((logits.images(), logits.classes()), (2, 7));
//! let (class, probability) = logits.softmax().largest(0, 1)[0];
//! assert!(class < 7 && probability >= 1.0 / 7.0);
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has five programs more.

#![forbid(unsafe_code)]

pub mod batch;
pub mod device;
pub mod download;
pub mod error;
pub mod hub;
pub mod logits;
pub mod model;
pub mod onnx;
mod overrides;
pub mod runner;
pub mod spec;
pub mod table;
mod teacher;
pub mod tensors;
mod timm;
pub mod train;
pub mod weights;

pub use resnetc_compiler as compiler;
pub use resnetc_runtime as runtime;
pub use resnetc_weights;

pub use device::{Costs, DeviceKind, DeviceOptions, EMULATES_GPUS};
pub use download::Downloads;
pub use error::{Error, Faults, Result};
pub use logits::Logits;
pub use model::{Model, Session};
pub use runner::Runner;
pub use spec::{Spec, SpecOptions};
pub use table::PublishedTable;
pub use train::{Trainer, TrainerBuilder};
pub use weights::{Weights, WeightsOptions};
