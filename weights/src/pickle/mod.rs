//! Pickles, read and never run: `machine` carries out the instructions that are known, a `Vocabulary` says which names may stand in a
//! pickle. One of weights has another vocabulary than one of data ([`record`]).

mod machine;
pub mod record;
mod value;

pub(crate) use machine::read;
pub(crate) use value::{Global, Id, Pickled, Value, Vocabulary};
