//! Decoded pictures in one file, which is mapped: what `resnetc data pack` writes. `docs/packed.md` has the format.

mod format;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::{is_packed, load};
pub use write::{Packed, Packing, pack};
