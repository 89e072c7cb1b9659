//! Residual networks of other programs as specs.
//!
//! ```text
//! file -> flat network -> stages and units -> spec -> compiled, compared with the flat network
//! ```
//!
//! Three front ends read ONNX models, Darknet's `.cfg` and Caffe's `.prototxt`. What they make, layers after one another, goes
//! through one recognizer, which finds where the network branches and comes together again. What it writes is compiled, and
//! compared layer by layer with what was read: a spec that is not the same network is never handed out.
//!
//! Files are foreign: reading one ends with a network or a [`Fault`] that says where, in memory bounded by the file's size.

#![forbid(unsafe_code)]

mod body;
mod caffe;
mod darknet;
mod fault;
mod flat;
mod onnx;
mod op;
mod recover;
mod shapes;
mod shortcut;
mod spec;
mod spine;
mod stages;
mod units;
mod verify;
mod words;
mod yaml;

pub use fault::{Fault, Place, Result};
pub use spec::{Format, Imported, Options, Tensor, import};
