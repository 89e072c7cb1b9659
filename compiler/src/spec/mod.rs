//! The spec language: text to resolved spec.
//!
//! ```text
//! text -> tree of values with bases and overrides (yaml) -> sections (sections) -> ResolvedSpec (resolve)
//! ```
//!
//! Texts in the unit language, which sections hold, are read and checked by [`language`]. The tables of keys, layers and
//! variables are also written out: as a JSON schema ([`schema`]) and as a reference for people ([`mod@reference`]). [`load`] goes the whole way.

pub mod bound;
pub mod builtin;
pub mod default;
pub(crate) mod digits;
mod effect;
pub mod emit;
pub mod encoding;
pub mod foreign;
pub mod language;
pub mod limits;
mod load;
pub mod reference;
mod resolve;
pub mod resolved;
pub mod schema;
pub mod sections;
pub(crate) mod size;
#[cfg(test)]
pub(crate) mod tests;
mod used;
pub mod yaml;

pub use load::{load, load_builtin};
pub use resolved::ResolvedSpec;
pub use sections::{preprocess, sweep, train};
pub use yaml::request::Request;
