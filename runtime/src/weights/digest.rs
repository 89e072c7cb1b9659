//! The checksum of a weights file's content: a flipped bit is found.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// Key of the checksum in the metadata.
pub(super) const KEY: &str = "sha256";

/// SHA-256 of all names, sizes and elements in the file's order, and of the metadata.
#[derive(Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    /// The elements of this tensor are what is added next.
    pub fn tensor(&mut self, name: &str, sizes: &[usize]) {
        self.part(name.as_bytes());
        self.part(format!("{sizes:?}").as_bytes());
    }

    /// Elements as they lie in the file.
    pub fn elements(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum in hexadecimal digits; `metadata` without the checksum itself.
    pub fn finish(mut self, metadata: &BTreeMap<String, String>) -> String {
        for (key, value) in metadata.iter().filter(|(key, _)| *key != KEY) {
            self.part(key.as_bytes());
            self.part(value.as_bytes());
        }
        hex(self.0.finalize())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

/// Adds what is read to a checksum.
pub(super) struct Digesting<R> {
    pub content: R,
    pub digest: Digest,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(bytes)?;
        self.digest.elements(&bytes[..length]);
        Ok(length)
    }
}
