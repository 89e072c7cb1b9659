//! Where the storages of a file lie, by their keys.

use std::collections::HashMap;

use crate::dtype::DType;
use crate::tensor::Storage;

/// Finds storages.
pub(super) trait Storages {
    /// The storage of a key, which is said to be of that type and to have so many elements.
    ///
    /// # Errors
    /// Where there is none, or a smaller one.
    fn find(&self, key: &str, dtype: DType, elements: usize) -> Result<Storage, String>;
}

/// Storages whose places were found before.
impl Storages for HashMap<&str, Storage> {
    fn find(&self, key: &str, _: DType, _: usize) -> Result<Storage, String> {
        self.get(key).copied().ok_or_else(|| format!("there is no storage `{key}` in the file"))
    }
}
