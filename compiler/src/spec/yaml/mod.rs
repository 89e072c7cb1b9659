//! Text to one tree of YAML values, and typed values out of that tree.
//!
//! ```text
//! text -> Node (compose) -> with bases and overrides (merge) -> values under known keys (read, by the tables of shape)
//! ```

mod choices;
pub mod compose;
pub mod fields;
pub mod keys;
pub mod merge;
pub mod node;
pub mod read;
pub mod request;
pub mod shape;
