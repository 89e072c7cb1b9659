//! Files of pictures become a network's input.
//!
//! ```text
//! bytes -> Picture (decode) -> size of the input (resize) -> `f32`, normalised (prepare)
//! ```
//!
//! [`stream`] does this on threads, and hands on what is ready in order; [`heat`] lays a map of weights over a picture. What the
//! steps are, a spec says: [`resnetc_compiler::spec::preprocess`]. Nothing here opens a file: bytes come from the caller, with a
//! bound ([`Limits`]) on what they may become.

#![forbid(unsafe_code)]

pub mod decode;
pub mod error;
mod halved;
pub mod heat;
mod jpeg;
pub mod limits;
pub mod picture;
pub mod prepare;
pub mod resize;
pub mod stream;
mod taps;

pub use decode::decode;
pub use error::{Error, Result};
pub use limits::Limits;
pub use picture::{Picture, View};
pub use prepare::Preparer;
