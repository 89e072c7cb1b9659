//! Reads files of records.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use super::set::{Cifar, File, IMAGE, NAMES, PLANE, SIDE};
use crate::data::memory::InMemory;
use crate::data::source::Dataset;
use crate::error::{Error, Result};
use crate::files;

/// Reads the files of a folder.
///
/// # Errors
/// [`Error::Io`] or [`Error::Data`] naming the file that is missing, no regular one, has a wrong size or a label out of range.
pub fn read(set: &'static Cifar, dir: &Path) -> Result<Dataset> {
    let classes: Arc<[String]> = class_names(set, &dir.join(set.names))?.into();
    let read = |part, files| read_files(set, part, Arc::clone(&classes), dir, files).map(Arc::new);
    Dataset::new(set.facts.name, read("train", set.train)?, read("test", set.test)?)
}

/// The names, or numbers where the file of names is missing: some mirrors leave it out.
fn class_names(set: &Cifar, path: &Path) -> Result<Vec<String>> {
    let text = match files::read_text(path, NAMES) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Ok((0..set.facts.classes).map(|i| i.to_string()).collect());
        }
        Err(e) => return Err(Error::io(path)(e)),
    };
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    if names.len() != set.facts.classes {
        let (found, expected) = (names.len(), set.facts.classes);
        return Err(Error::Data(format!("{}: {found} class names, expected {expected}", path.display())));
    }
    Ok(names)
}

fn read_files(
    set: &Cifar,
    part: &str,
    classes: Arc<[String]>,
    dir: &Path,
    files: &[File],
) -> Result<InMemory> {
    let paths: Vec<_> = files.iter().map(|file| (file, dir.join(file.name))).collect();
    // Before there is memory for any of them.
    for (file, path) in &paths {
        let (_, size) = files::open(path).map_err(Error::io(path))?;
        check_size(set, file, size).map_err(|reason| damaged(path, reason))?;
    }
    let records: usize = files.iter().map(|f| f.records).sum();
    let mut pixels = vec![0u8; records * IMAGE];
    let mut labels = Vec::with_capacity(records);
    for (file, path) in &paths {
        let (content, _) = files::open(path).map_err(Error::io(path))?;
        let first = labels.len();
        let part = &mut pixels[first * IMAGE..(first + file.records) * IMAGE];
        decode(set, BufReader::with_capacity(1 << 18, content), part, &mut labels)
            .map_err(|reason| damaged(path, reason))?;
    }
    InMemory::new(format!("{}/{part}", set.facts.name), classes, [SIDE, SIDE, 3], pixels, labels)
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::Data(format!("{}: {reason}", path.display()))
}

pub(super) fn check_size(set: &Cifar, file: &File, size: u64) -> Result<(), String> {
    let (expected, records, record) = (set.size(file), file.records, set.record());
    if size == expected {
        return Ok(());
    }
    Err(format!(
        "{size} bytes, expected {expected} ({records} records of {record}): cut off, or not the binary version"
    ))
}

/// Pixels `[records][row][column][channel]` and labels of so many records.
///
/// # Errors
/// What is wrong with which record.
pub fn decode_records(
    set: &Cifar,
    content: impl Read,
    records: usize,
) -> Result<(Vec<u8>, Vec<u32>), String> {
    let (mut pixels, mut labels) = (vec![0; records * IMAGE], Vec::with_capacity(records));
    decode(set, content, &mut pixels, &mut labels)?;
    Ok((pixels, labels))
}

/// Splits records into labels and pixels, `[channel][row][column]` to `[row][column][channel]`; as many as there is room for.
pub(super) fn decode(
    set: &Cifar,
    mut content: impl Read,
    pixels: &mut [u8],
    labels: &mut Vec<u32>,
) -> Result<(), String> {
    let mut record = vec![0u8; set.record()];
    for (i, out) in pixels.chunks_exact_mut(IMAGE).enumerate() {
        content.read_exact(&mut record).map_err(|e: io::Error| format!("record {i}: {e}"))?;
        let (label, planes) = record.split_at(set.label_bytes);
        let class = label[set.label_bytes - 1];
        if usize::from(class) >= set.facts.classes {
            return Err(format!("record {i} has class {class}, there are {} classes", set.facts.classes));
        }
        labels.push(u32::from(class));
        for (p, pixel) in out.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[planes[p], planes[PLANE + p], planes[2 * PLANE + p]]);
        }
    }
    Ok(())
}
