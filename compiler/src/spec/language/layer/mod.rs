//! The layers of the unit language. `table` says what each is called and which arguments it takes; the reference for people
//! is written from it.
//!
//! ```text
//! call -> entry of the table with its arguments (bind) -> layer with all its numbers (resolve, kind)
//! ```
//!
//! A flag is given by its name alone, `bias`, or with a value, `bias=false`.

mod bind;
mod kind;
mod resolve;
pub(crate) mod table;

pub use bind::{Bound, bind, is_complete, is_layer};
pub use kind::Layer;
pub use resolve::Eval;
pub(crate) use table::Form;
pub use table::{MAX_CHANNELS, names_alone};
