//! A file of decoded pictures as a data set: its bytes are mapped, and read where a batch needs them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use resnetc_weights::Content;
use sha2::{Digest, Sha256};

use super::format::{CHANNELS, Entry, HEAD, Index, MAGIC};
use crate::data::source::{Dataset, Picture, Source};
use crate::error::{Error, Result};
use crate::files;
use crate::hex::hex;

/// Whether a file begins as one of these, or is called so.
pub(in super::super) fn is_packed(path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pack")) {
        return true;
    }
    let begins = |(file, _): (File, u64)| {
        let mut magic = [0; MAGIC.len()];
        files::read_at(&file, &mut magic, 0).map(|()| magic == MAGIC)
    };
    files::open(path).and_then(begins).unwrap_or(false)
}

/// The data set in a file.
///
/// # Errors
/// [`Error::Data`] where it is another file, cut off or damaged.
pub(in super::super) fn load(name: &str, path: &Path) -> Result<Dataset> {
    let (file, size) = files::open(path).map_err(Error::io(path))?;
    let content = Arc::new(Content::map(&file, size).map_err(Error::io(path))?);
    let fault = |reason: String| Error::Data(format!("{}: {reason}", path.display()));
    let Index { any_size, classes, train, test } = Index::read(&content).map_err(fault)?;
    let head = hex(Sha256::digest(&content[..HEAD]));
    let classes: Arc<[String]> = classes.into();
    let source = |part: &str, entries: Vec<Entry>| -> Arc<dyn Source> {
        Arc::new(Pictures {
            name: format!("{name}/{part}"),
            classes: Arc::clone(&classes),
            content: Arc::clone(&content),
            entries,
            any_size,
            fingerprint: format!("{part} {head}"),
        })
    };
    Dataset::new(name, source("train", train), source("test", test))
}

/// Pictures of a part. Their places were checked when the file was opened.
struct Pictures {
    name: String,
    classes: Arc<[String]>,
    content: Arc<Content>,
    entries: Vec<Entry>,
    any_size: bool,
    fingerprint: String,
}

impl Pictures {
    /// The pixels of a picture.
    fn bytes(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        &self.content[start..start + entry.bytes() as usize]
    }
}

fn size(entry: &Entry) -> [usize; 3] {
    [entry.height as usize, entry.width as usize, CHANNELS]
}

impl Source for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.entries[index].label
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        let entry = &self.entries[index];
        Ok(Picture::new(size(entry), self.bytes(entry)))
    }

    fn pixels(&self) -> Option<([usize; 3], &[u8])> {
        let (first, last) = (self.entries.first()?, self.entries.last()?);
        let follows = |pair: &[Entry]| {
            size(&pair[0]) == size(&pair[1]) && pair[0].start + pair[0].bytes() == pair[1].start
        };
        let end = last.start as usize + last.bytes() as usize;
        let whole = !self.any_size && self.entries.windows(2).all(follows);
        whole.then(|| (size(first), &self.content[first.start as usize..end]))
    }

    fn any_size(&self) -> bool {
        self.any_size
    }

    fn fingerprint(&self) -> Option<String> {
        Some(self.fingerprint.clone())
    }
}
