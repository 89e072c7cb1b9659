//! Where the bytes of a picture lie.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;

/// Where a picture's file is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// A part of an archive, which is open.
    Part {
        /// Its path.
        archive: Arc<Path>,
        /// Its content, unpacked.
        file: Arc<File>,
        /// The picture's name in it.
        name: String,
        /// First byte.
        start: u64,
        /// Bytes.
        size: u64,
    },
}

impl Place {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Place::File(path) => path.display().to_string(),
            Place::Part { archive, name, .. } => format!("{name} in {}", archive.display()),
        }
    }

    /// The last part of its name: with the class it is the picture's own, wherever the set lies.
    pub fn short(&self) -> String {
        match self {
            Place::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Place::Part { name, .. } => name.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// Bytes of the file, where they can be found out.
    pub fn size(&self) -> Option<u64> {
        match self {
            Place::File(path) => files::size(path).ok().flatten(),
            Place::Part { size, .. } => Some(*size),
        }
    }

    /// The file's content, of at most so many bytes.
    ///
    /// # Errors
    /// Where it cannot be read, or is longer.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        match self {
            Place::File(path) => files::read_bytes(path, most),
            Place::Part { size, .. } if *size > most => {
                let text = format!("it has {size} bytes, such a file has {most} at most");
                Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
            }
            Place::Part { file, start, size, .. } => {
                let mut bytes = vec![0; usize::try_from(*size).map_err(io::Error::other)?];
                files::read_at(file, &mut bytes, *start)?;
                Ok(bytes)
            }
        }
    }
}
