//! Text to one tree of YAML values, and typed values out of that tree.
//!
//! ```text
//! text -> Node (compose) -> with bases and overrides (merge), without what `~` takes away (nothing)
//!      -> values under known keys (read, by the tables of shape)
//! ```

mod choices;
pub mod compose;
mod cut;
pub mod fields;
pub mod keys;
pub mod merge;
mod merge_key;
pub mod node;
mod nothing;
mod number;
pub mod read;
pub mod request;
pub mod shape;
mod syntax;
