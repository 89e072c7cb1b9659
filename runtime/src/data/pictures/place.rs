//! Where the bytes of a picture lie.

use std::io;
use std::path::PathBuf;

use crate::files;

/// Where a picture's file is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
}

impl Place {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Place::File(path) => path.display().to_string(),
        }
    }

    /// The last part of its name: with the class it is the picture's own, wherever the set lies.
    pub fn short(&self) -> String {
        match self {
            Place::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Bytes of the file, where they can be found out.
    pub fn size(&self) -> Option<u64> {
        match self {
            Place::File(path) => files::size(path).ok().flatten(),
        }
    }

    /// The file's content, of at most so many bytes.
    ///
    /// # Errors
    /// Where it cannot be read, or is longer.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        match self {
            Place::File(path) => files::read_bytes(path, most),
        }
    }
}
