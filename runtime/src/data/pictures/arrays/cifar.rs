//! CIFAR-10 and CIFAR-100 in their Python version (<https://www.cs.toronto.edu/~kriz/cifar.html>): pickled dictionaries of an array of
//! bytes, `[picture][channel][row][column]`, and a list of classes.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use resnetc_weights::Content;
use resnetc_weights::pickle::record::Record;

use super::super::unpack::plain;
use crate::data::memory::InMemory;
use crate::data::source::Dataset;
use crate::error::{Error, Result};
use crate::files;

/// Rows and columns.
const SIDE: usize = 32;
/// Bytes of a channel.
const PLANE: usize = SIDE * SIDE;
/// Bytes of a picture.
const IMAGE: usize = 3 * PLANE;
/// Most bytes of a file: that of CIFAR-100 has 155 million.
const MOST: u64 = 1 << 28;

/// What the files of a set are called, and the entries in them.
struct Layout {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    meta: &'static str,
    /// The entry of classes' numbers, and that of their names.
    labels: &'static str,
    names: &'static str,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        meta: "batches.meta",
        labels: "labels",
        names: "label_names",
    },
    Layout {
        folder: "cifar-100-python",
        train: &["train"],
        test: "test",
        meta: "meta",
        labels: "fine_labels",
        names: "fine_label_names",
    },
];

impl Layout {
    fn files(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test, self.meta])
    }
}

/// A file of a set: its name in messages, and its bytes, which may be part of an archive.
struct Batch {
    name: String,
    content: Arc<Content>,
    start: usize,
    end: usize,
}

impl Batch {
    fn fault(&self, reason: impl std::fmt::Display) -> Error {
        Error::Data(format!("{}: {reason}", self.name))
    }

    fn record(&self) -> Result<Record<'_>> {
        Record::read(&self.content[self.start..self.end]).map_err(|fault| self.fault(fault))
    }
}

/// The data set in a folder that has its files, or the archive's folder in it; `None` where there are none.
///
/// # Errors
/// [`Error::Data`] that names the file which is missing or damaged.
pub(in super::super) fn in_folder(name: &str, path: &Path) -> Result<Option<Dataset>> {
    for layout in &LAYOUTS {
        for folder in [path.to_path_buf(), path.join(layout.folder)] {
            let is_file = |file: &str| fs::metadata(folder.join(file)).is_ok_and(|found| found.is_file());
            // `meta` and `train` may be anybody's names: all three together are not.
            if is_file(layout.meta) && layout.files().any(|file| file != layout.meta && is_file(file)) {
                let open = |file: &str| {
                    let path = folder.join(file);
                    let (opened, size) = files::open(&path).map_err(Error::io(&path))?;
                    let content = Arc::new(mapped(&path.display().to_string(), &opened, size)?);
                    Ok(Batch { name: path.display().to_string(), start: 0, end: content.len(), content })
                };
                return read(name, layout, open).map(Some);
            }
        }
    }
    Ok(None)
}

/// The data set in an archive whose first file lies in the set's folder; `None` for another archive.
///
/// # Errors
/// As [`in_folder`].
pub(in super::super) fn in_archive(name: &str, path: &Path) -> Result<Option<Dataset>> {
    let (file, size) = plain(path).map_err(Error::io(path))?;
    let damaged =
        |error: std::io::Error| Error::Data(format!("{}: a damaged archive: {error}", path.display()));
    let mut archive = tar::Archive::new(BufReader::new(file.try_clone().map_err(Error::io(path))?));
    let mut layout: Option<&Layout> = None;
    let mut places: Vec<(String, u64, u64)> = Vec::new();
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let inner = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let inner = inner.strip_prefix("./").unwrap_or(&inner);
        let found = inner.split_once('/');
        let set = found.and_then(|(folder, _)| LAYOUTS.iter().find(|layout| layout.folder == folder));
        match (set, found, layout) {
            (Some(set), Some((_, file)), _) => {
                layout = Some(set);
                places.push((file.to_owned(), entry.raw_file_position(), entry.size()));
            }
            (_, _, None) => return Ok(None),
            _ => {}
        }
    }
    let Some(layout) = layout else { return Ok(None) };
    let content = Arc::new(Content::map(&file, size).map_err(Error::io(path))?);
    let open = |file: &str| {
        let called = format!("{}/{file} in {}", layout.folder, path.display());
        let place = places.iter().find(|(name, ..)| name == file);
        let range = place.and_then(|(_, start, size)| {
            let (start, size) = (usize::try_from(*start).ok()?, usize::try_from(*size).ok()?);
            let end = start.checked_add(size).filter(|&end| end <= content.len())?;
            Some((start, end))
        });
        let (start, end) = range.ok_or_else(|| Error::Data(format!("{called} is missing")))?;
        Ok(Batch { name: called, content: Arc::clone(&content), start, end })
    };
    read(name, layout, open).map(Some)
}

fn mapped(name: &str, file: &File, size: u64) -> Result<Content> {
    if size > MOST {
        return Err(Error::Data(format!("{name}: it has {size} bytes, such a file has {MOST} at most")));
    }
    Content::map(file, size).map_err(Error::io(Path::new(name)))
}

fn read(name: &str, layout: &Layout, open: impl Fn(&str) -> Result<Batch>) -> Result<Dataset> {
    let meta = open(layout.meta)?;
    let names = meta.record()?.texts(layout.names).map_err(|fault| meta.fault(fault))?;
    let names = names.ok_or_else(|| meta.fault(format!("it has no entry `{}`", layout.names)))?;
    let classes: Arc<[String]> = names.into();
    let part = |part: &str, files: &[&str]| {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for file in files {
            add(&open(file)?, layout.labels, classes.len(), &mut pixels, &mut labels)?;
        }
        let (name, size) = (format!("{name}/{part}"), [SIDE, SIDE, 3]);
        InMemory::new(name, Arc::clone(&classes), size, pixels, labels).map(Arc::new)
    };
    Dataset::new(name, part("train", layout.train)?, part("test", &[layout.test])?)
}

/// Adds a file's pictures, `[channel][row][column]` to `[row][column][channel]`, and their classes.
fn add(batch: &Batch, key: &str, classes: usize, pixels: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    let record = batch.record()?;
    let lacks = |key: &str| batch.fault(format!("it has no entry `{key}`"));
    let data = record.array("data").map_err(|fault| batch.fault(fault))?.ok_or_else(|| lacks("data"))?;
    let numbers = record.numbers(key).map_err(|fault| batch.fault(fault))?.ok_or_else(|| lacks(key))?;
    if data.shape != [numbers.len(), IMAGE] {
        let (shape, count) = (&data.shape, numbers.len());
        return Err(
            batch.fault(format!("`data` has the sizes {shape:?}, {count} pictures have [{count}, {IMAGE}]"))
        );
    }
    for number in numbers {
        let label = u32::try_from(number).ok().filter(|&label| (label as usize) < classes);
        let fault = || batch.fault(format!("a picture has class {number}, there are {classes} classes"));
        labels.push(label.ok_or_else(fault)?);
    }
    pixels.reserve(data.elements.len());
    for planes in data.elements.chunks_exact(IMAGE) {
        pixels.extend((0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]));
    }
    Ok(())
}
