//! Data sets, and batches made of them.
//!
//! ```text
//! registry -> Dataset { train, test: Source } -> loader: order -> picture -> augment -> normalise -> Batch
//! ```
//!
//! Everything behind the registry knows a [`Source`] only: a list of labels and pictures, asked for one at a time. [`transform`]
//! makes a network's input of a picture, and [`loader`] does so on worker threads, ahead of the step that wants it. A device that
//! does this itself gets bytes and [`edit`]s instead ([`batch::Form`]).

pub mod archive;
pub mod ask;
pub mod batch;
pub mod canvas;
pub mod checksum;
pub mod cifar;
mod distributions;
pub mod draw;
pub mod edit;
pub mod fetch;
pub mod frame;
pub mod loader;
#[cfg(test)]
mod loopback;
pub mod memory;
pub mod mix;
pub mod ops;
pub mod order;
pub mod pictures;
mod places;
mod policy;
mod registry;
pub mod rng;
pub mod shapes10;
pub mod shrink;
mod source;
pub mod survey;
pub mod transform;

pub use places::Places;
pub use registry::load;
pub use source::{Dataset, Picture, Source};
