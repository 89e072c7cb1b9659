//! A file's bytes, mapped into memory: the one place with `unsafe` in this crate.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// Bytes of a file: where they lie, or a copy.
#[derive(Debug)]
pub enum Content {
    /// The system reads what is touched.
    Mapped(Mmap),
    /// In memory.
    Read(Vec<u8>),
}

impl Content {
    /// Maps a regular file of that size.
    ///
    /// # Errors
    /// Those of the system.
    pub fn map(file: &File, size: u64) -> io::Result<Self> {
        // Nothing cannot be mapped.
        if size == 0 {
            return Ok(Content::Read(Vec::new()));
        }
        // SAFETY: the map is private and only read. That nobody shortens or rewrites the file meanwhile cannot be had from the
        // system, and is what every reader of mapped weights asks of its user: programs replace such files, as this one does
        // (`write_atomic`), which leaves the mapped one alone. Elements are used as numbers, for which all bits are valid, and
        // every offset is compared with the length that the map has, not with one that is read anew.
        let map = unsafe { Mmap::map(file)? };
        Ok(Content::Mapped(map))
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Read(bytes) => bytes,
        }
    }
}
