//! Weights of networks in the files of other programs.
//!
//! - [`TensorFile`] is a file of named tensors: safetensors, in one file or several, or what `torch.save` writes. It is mapped;
//!   elements are read when they are asked for. A pickle in it is read by an own interpreter that calls nothing.
//! - [`pickle::record`] and [`npy`] read what programs of Python keep arrays in, for those that train on them; [`Content`] maps a file.
//! - [`dialects`] are the naming schemes of other programs, as tables.
//! - [`Network`] is what a network wants, by the places of its layers.
//! - [`fit`](fit::fit) finds each tensor of the network in the file, or says all that does not fit.
//!
//! Files are foreign: whatever is in them, reading ends with tensors or an [`Error`], in memory bounded by the file's size.

pub mod dialects;
mod dtype;
mod error;
mod file;
pub mod fit;
mod map;
mod misfit;
mod network;
pub mod npy;
mod pattern;
pub mod pickle;
mod safetensors;
mod tensor;
mod torch;
pub mod write;

pub use dtype::DType;
pub use error::{Error, Fault, Result};
pub use file::{Format, Listed, Open, TensorFile};
pub use map::Content;
pub use misfit::{Misfit, Row, sizes};
pub use network::{Network, Wanted};
