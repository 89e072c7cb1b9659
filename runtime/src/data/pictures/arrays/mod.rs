//! Pictures of one size that lie side by side in arrays: CIFAR's pickles, MNIST's files of numbers, NumPy's archives.
//!
//! ```text
//! cifar            -> InMemory
//! idx, npz -> Block (mapped bytes) with labels -> dataset: classes, split -> Stored (a Source)
//! ```

mod block;
mod cifar;
mod dataset;
mod idx;
mod npz;
#[cfg(test)]
mod tests;

pub(super) use cifar::{in_archive, in_folder};
pub(super) use idx::folder as idx;
pub(super) use npz::load as npz;
