//! What is wrong with a spec, where, why, and how to go on.
//!
//! Compiler code collects [`Diagnostic`]s and returns all of a file at once; the `render` module turns them into
//! text with source lines and underlines.

pub mod look_alikes;
pub mod render;
pub mod suggest;
mod types;
pub mod visible;

pub use render::render;
pub use types::{Diagnostic, Label, Severity};
