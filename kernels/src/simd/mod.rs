//! Vectors: one type for all instruction sets, the choice between these, and how elements of maps become vectors.

mod access;
pub mod amx;
mod element;
mod isa;
mod vector;

pub(crate) use access::{Access, First, Full};
pub use element::Element;
pub(crate) use element::{load_part, store_part};
pub use isa::Isa;
#[cfg(target_arch = "x86_64")]
pub(crate) use vector::Avx512;
pub(crate) use vector::{MAX_LANES, nearest_bf16};
pub use vector::{Simd, Vector, Work};
