//! The unit language: what the texts under `stem:`, `units:`, `shortcut:`, `filters:` and their like may say.
//!
//! ```text
//! text -> syntax tree (parse) -> names and kinds are right (check) -> layers (layer) and numbers (number)
//! ```

pub mod check;
pub mod functions;
pub mod layer;
mod live;
mod mistake;
pub mod number;
pub mod parse;
pub mod place;
pub mod print;
mod signs;
mod tokens;
pub mod tree;
pub mod variables;
