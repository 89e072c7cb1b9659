//! NumPy's archives of arrays (`numpy.savez`): pictures and labels under the names that people give them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use resnetc_weights::Content;
use resnetc_weights::npy::{Header, shown};
use zip::{CompressionMethod, ZipArchive};

use super::super::rules::Rules;
use super::super::unpack::{UNPACKED, spill};
use super::block::Block;
use super::dataset::{Labelled, dataset};
use crate::data::source::Dataset;
use crate::error::{Error, Result};
use crate::files;

/// Names of arrays of pictures with those of their labels.
type Names = [(&'static str, &'static str)];
/// Trained on.
const TRAIN: &Names = &[("x_train", "y_train"), ("X_train", "y_train"), ("train_images", "train_labels")];
/// Evaluated on, the first that is there: MedMNIST has both of the latter.
const TEST: &Names = &[
    ("x_val", "y_val"),
    ("X_val", "y_val"),
    ("val_images", "val_labels"),
    ("x_test", "y_test"),
    ("X_test", "y_test"),
    ("test_images", "test_labels"),
];
/// To be split.
const ALL: &Names = &[("images", "labels"), ("x", "y"), ("X", "y")];

/// The data set in an archive.
///
/// # Errors
/// [`Error::Data`] that names the array which is missing, damaged or of a wrong type or shape.
pub(in super::super) fn load(name: &str, path: &Path, rules: &Rules) -> Result<Dataset> {
    let mut archive = Archive::open(path)?;
    let train = archive.first(TRAIN);
    let (train, test) = match (train, archive.first(ALL)) {
        (Some(train), _) => (train, archive.first(TEST)),
        (None, Some(all)) => (all, None),
        (None, None) => return Err(archive.nameless()),
    };
    let others: Vec<&str> =
        TEST.iter().map(|(pictures, _)| *pictures).filter(|other| archive.has(other)).collect();
    let left = others.iter().find(|&&other| test.is_some_and(|(taken, _)| taken != other));
    let told = left.map(|left| format!("left alone in {}: {left}", path.display()));
    let train = archive.labelled(train)?;
    let test = test.map(|test| archive.labelled(test)).transpose()?;
    let mut set = dataset(name, train, test, rules)?;
    set.told.extend(told);
    Ok(set)
}

/// An archive whose arrays are read.
struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<File>,
    /// The file's own bytes, for arrays that are stored as they are.
    content: Arc<Content>,
}

/// An array's header, and where its elements lie.
struct Array {
    header: Header,
    content: Arc<Content>,
    start: usize,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let (file, size) = files::open(path).map_err(Error::io(path))?;
        let content = Arc::new(Content::map(&file, size).map_err(Error::io(path))?);
        let zip = ZipArchive::new(file)
            .map_err(|error| Error::Data(format!("{}: no archive of NumPy: {error}", path.display())))?;
        Ok(Archive { path, zip, content })
    }

    fn has(&self, array: &str) -> bool {
        self.zip.index_for_name(&format!("{array}.npy")).is_some()
    }

    /// The first names whose pictures are there.
    fn first(&self, names: &Names) -> Option<(&'static str, &'static str)> {
        names.iter().copied().find(|(pictures, _)| self.has(pictures))
    }

    fn nameless(&self) -> Error {
        let known: Vec<&str> = TRAIN.iter().chain(ALL).map(|(pictures, _)| *pictures).collect();
        let is: Vec<String> = self.zip.file_names().flatten().take(12).map(|name| shown(&name)).collect();
        Error::Data(format!(
            "{} has no array of pictures: one of {} is needed, it has {}",
            self.path.display(),
            known.join(", "),
            is.join(", ")
        ))
    }

    fn fault(&self, array: &str, reason: &str) -> Error {
        Error::Data(format!("{}: array {array}: {reason}", self.path.display()))
    }

    fn labelled(&mut self, (pictures, labels): (&str, &str)) -> Result<Labelled> {
        let array = self.array(pictures)?;
        let block = block(&array).map_err(|reason| self.fault(pictures, &reason))?;
        let numbers = self.array(labels)?;
        let numbers = self::labels(&numbers, block.len()).map_err(|reason| self.fault(labels, &reason))?;
        Labelled::new(format!("{pictures} of {}", self.path.display()), block, numbers)
    }

    /// An array where it lies or, where it is packed, unpacked to a file without a name. What its header says is compared with the bytes
    /// that are there before anything is made of them.
    fn array(&mut self, array: &str) -> Result<Array> {
        let fault = |reason: String| Error::Data(format!("{}: array {array}: {reason}", self.path.display()));
        let damaged = |error: zip::result::ZipError| fault(error.to_string());
        let mut entry = self.zip.by_name(&format!("{array}.npy")).map_err(damaged)?;
        let size = entry.size();
        let (content, start, end) = match entry.compression() {
            CompressionMethod::Stored => {
                let start = entry.data_start().unwrap_or(u64::MAX);
                (Arc::clone(&self.content), start, start.saturating_add(size))
            }
            _ if size > UNPACKED => return Err(fault(format!("unpacked, it has {size} bytes"))),
            _ => {
                // No more than the directory says, whatever the packed bytes become.
                let (file, read) =
                    spill(&mut entry.by_ref().take(size)).map_err(|error| fault(error.to_string()))?;
                let content = Content::map(&file, read).map_err(Error::io(self.path))?;
                (Arc::new(content), 0, size)
            }
        };
        let place = |at: u64| usize::try_from(at).ok().filter(|&at| at <= content.len());
        let (Some(start), Some(end)) = (place(start), place(end)) else {
            return Err(fault("it ends outside of the file: cut off, or damaged".into()));
        };
        let bytes = &content[start..end];
        let header = Header::read(&mut &*bytes).map_err(&fault)?;
        let width = width(&header.descr).map_err(&fault)?;
        if header.fortran {
            return Err(fault("it is in Fortran's order: save `numpy.ascontiguousarray(array)`".into()));
        }
        let (wanted, follow) = (header.elements(), bytes.len() - header.start);
        if wanted.and_then(|elements| elements.checked_mul(width)) != Some(follow) {
            let shape = &header.shape;
            return Err(fault(format!(
                "its header says {shape:?}, but {follow} bytes follow: cut off, or damaged"
            )));
        }
        Ok(Array { start: start + header.start, header, content })
    }
}

/// Bytes of an element of that type.
fn width(descr: &str) -> Result<usize, String> {
    let number = descr.strip_prefix(['<', '|']).and_then(|kind| match kind {
        "u1" | "i1" | "b1" => Some(1),
        "u2" | "i2" | "f2" => Some(2),
        "u4" | "i4" | "f4" => Some(4),
        "u8" | "i8" | "f8" => Some(8),
        _ => None,
    });
    number.ok_or_else(|| {
        format!("its elements are of type `{}`: save pictures as `|u1`, labels as `<i8`", shown(descr))
    })
}

/// Pictures `[n, height, width]`, `[n, height, width, channels]` or `[n, channels, height, width]`, of 1 channel or 3.
fn block(array: &Array) -> Result<Block, String> {
    let Header { descr, shape, .. } = &array.header;
    if descr != "|u1" {
        return Err(format!(
            "its elements are of type `{descr}`, pictures are bytes: save it as `array.astype('uint8')`, from 0 to 255"
        ));
    }
    let (size, planes) = match shape[..] {
        [_, height, width] => ([height, width, 1], false),
        [_, height, width, channels @ (1 | 3)] => ([height, width, channels], false),
        [_, channels @ (1 | 3), height, width] => ([height, width, channels], true),
        _ => {
            let kinds = "[n, height, width], [n, height, width, channels] or [n, channels, height, width], of 1 channel or 3";
            return Err(format!("its shape is {shape:?}, pictures are {kinds}"));
        }
    };
    let block = Block::new(&array.content, array.start, shape[0], size, planes);
    block.ok_or_else(|| format!("its shape is {shape:?}: there are no pixels, or too many pictures"))
}

/// As many labels, `[n]` or `[n, 1]`, of whole numbers.
fn labels(array: &Array, count: usize) -> Result<Vec<i64>, String> {
    let Header { descr, shape, .. } = &array.header;
    match shape[..] {
        [n] | [n, 1] if n == count => {}
        [n] | [n, 1] => return Err(format!("there are {n} labels for {count} pictures")),
        _ => return Err(format!("its shape is {shape:?}, labels are [n] or [n, 1], a class each")),
    }
    let signed = match &descr[1..2] {
        "i" => true,
        "u" | "b" => false,
        _ => {
            return Err(format!(
                "its elements are of type `{descr}`, labels are whole numbers: `array.astype('int64')`"
            ));
        }
    };
    let width = width(descr)?;
    let bytes = &array.content[array.start..array.start + count * width];
    let number = |bytes: &[u8]| {
        let negative = signed && bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
        let start = if negative { -1 } else { 0 };
        bytes.iter().rev().fold(start, |number: i64, &byte| number << 8 | i64::from(byte))
    };
    Ok(bytes.chunks_exact(width).map(number).collect())
}
