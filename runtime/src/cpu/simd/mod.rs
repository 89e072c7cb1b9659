//! Vectors: one type for all instruction sets, the choice between these, and how elements of maps become vectors.

mod access;
pub mod amx;
mod element;
mod isa;
mod vector;

pub(in crate::cpu) use access::{Access, First, Full};
pub use element::Element;
pub(in crate::cpu) use element::{load, load_part, store, store_part};
pub use isa::{Isa, Work};
#[cfg(target_arch = "x86_64")]
pub(in crate::cpu) use vector::Avx512;
pub use vector::Vector;
pub(in crate::cpu) use vector::nearest_bf16;
