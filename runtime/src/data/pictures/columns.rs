//! Pictures in parquet as the Hugging Face hub keeps them: a column `image` of `bytes` (and `path`), a column `label` of numbers, whose
//! names stand in the file's metadata. A set has files for each of its parts, `train-00000-of-00002.parquet`.
//!
//! A file is read by its row groups, and pictures, as they are encoded, go to a file without a name beside other temporary ones: a
//! picture in a compressed page cannot be read alone.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::metadata::{FileMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use super::found::{Found, Parts};
use super::place::Place;
use super::unpack::UNPACKED;
use crate::error::{Error, Result};
use crate::files;

/// What columns of labels are called.
const LABELS: &[&str] = &["label", "labels", "fine_label", "class", "target"];
/// What columns of pictures are called, before any other that has `bytes`.
const IMAGES: &[&str] = &["image", "img", "picture"];
/// Rows that are decoded at once.
const ROWS: usize = 64;
/// Most bytes of a row group, unpacked: pyarrow's have some hundred rows of pictures.
const GROUP: i64 = 1 << 32;

/// Finds the pictures of a file, or of a folder's files; `None` where a folder has none.
///
/// # Errors
/// [`Error::Data`] that names the file which is damaged, missing from a row of shards, or has other columns.
pub(super) fn find(path: &Path) -> Result<Option<Found>> {
    let files = match path.is_dir() {
        true => shards(path)?,
        false => vec![(String::new(), path.to_path_buf())],
    };
    if files.is_empty() {
        return Ok(None);
    }
    let mut spilled = Spilled::new().map_err(Error::io(path))?;
    let mut rows: Vec<(String, i64, Row)> = Vec::new();
    let mut names: Option<Vec<String>> = None;
    for (part, file) in &files {
        let (found, named) = refusing_panics(file, || {
            let table = Table::open(file)?;
            Ok((table.rows(&mut spilled)?, table.names))
        })?;
        rows.extend(found.into_iter().map(|(label, row)| (part.clone(), label, row)));
        names = names.or(named);
    }
    let file = Arc::new(spilled.file);
    let mut parts = Parts::default();
    for (part, label, Row { archive, name, start, size }) in rows {
        let called = match &names {
            Some(names) => usize::try_from(label).ok().and_then(|label| names.get(label)).cloned(),
            None => Some(label.to_string()),
        };
        let Some(class) = called else {
            let count = names.as_ref().map_or(0, Vec::len);
            return Err(Error::Data(format!(
                "{}, {name}: label {label}, there are {count} names",
                archive.display()
            )));
        };
        parts.add(&part, &class, Place::Part { archive, file: Arc::clone(&file), name, start, size });
    }
    let found = parts.found(&path.display().to_string())?;
    Ok(Some(Found { classes: names, ..found }))
}

/// The parquet files of a folder, or of `data` in it, each with its part.
fn shards(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    for folder in [folder.to_path_buf(), folder.join("data")] {
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.map_err(Error::io(&folder))?.path();
            if is_parquet(&path) {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let (part, numbers) = stem.split_once('-').unwrap_or((&stem, ""));
                found.push((part.to_owned(), numbers.to_owned(), path.clone()));
            }
        }
        found.sort();
        check_complete(&folder, &found)?;
        if !found.is_empty() {
            return Ok(found.into_iter().map(|(part, _, path)| (part, path)).collect());
        }
    }
    Ok(Vec::new())
}

/// Whether a path is called as such a file.
fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// `00000-of-00002` has a brother.
fn check_complete(folder: &Path, found: &[(String, String, PathBuf)]) -> Result<()> {
    let mut said: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (part, numbers, _) in found {
        // The hub adds a digest behind the number.
        let of = numbers.split_once("-of-").map(|(_, of)| of.split('-').next().unwrap_or_default());
        if let Some(Ok(of)) = of.map(str::parse) {
            *said.entry((part, of)).or_default() += 1;
        }
    }
    match said.iter().find(|((_, of), is)| of != *is) {
        None => Ok(()),
        Some(((part, of), is)) => Err(Error::Data(format!(
            "{} has {is} of the {of} files {part}-*-of-{of:05}.parquet: fetch the others, too",
            folder.display()
        ))),
    }
}

/// Encoded pictures, one behind the other.
struct Spilled {
    file: File,
    end: u64,
}

impl Spilled {
    fn new() -> std::io::Result<Self> {
        Ok(Spilled { file: tempfile::tempfile()?, end: 0 })
    }

    /// Adds a picture; the byte that it begins with.
    fn add(&mut self, bytes: &[u8]) -> std::io::Result<u64> {
        let start = self.end;
        self.end += bytes.len() as u64;
        if self.end > UNPACKED {
            let text = format!("its pictures have more than {UNPACKED} bytes: save them as files");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
        }
        self.file.write_all(bytes)?;
        Ok(start)
    }
}

/// Where a row's picture lies.
struct Row {
    archive: Arc<Path>,
    name: String,
    start: u64,
    size: u64,
}

/// A file whose columns are known.
struct Table {
    path: Arc<Path>,
    reader: SerializedFileReader<File>,
    /// Bytes of the file.
    size: u64,
    /// Numbers of the columns.
    image: usize,
    label: usize,
    /// Names of the classes.
    names: Option<Vec<String>>,
}

impl Table {
    fn open(path: &Path) -> Result<Self> {
        let (file, size) = files::open(path).map_err(Error::io(path))?;
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(path, &error))?;
        let facts = reader.metadata().file_metadata();
        let columns: Vec<(Vec<String>, Type)> = (0..facts.schema_descr().num_columns())
            .map(|at| facts.schema_descr().column(at))
            .map(|column| (column.path().parts().to_vec(), column.physical_type()))
            .collect();
        let (image, label) = wanted(&columns).ok_or_else(|| {
            let is: Vec<String> =
                columns.iter().map(|(path, kind)| format!("{} ({kind})", path.join("."))).collect();
            Error::Data(format!(
                "{}: pictures need a column image.bytes and a column of whole numbers, one of {}; it has {}",
                path.display(),
                LABELS.join(", "),
                is.join(", ")
            ))
        })?;
        let names = names(facts, &columns[label].0[0]);
        Ok(Table { path: path.into(), reader, size, image, label, names })
    }

    /// The label of each row, and where its picture lies now.
    fn rows(&self, spilled: &mut Spilled) -> Result<Vec<(i64, Row)>> {
        let mut rows = Vec::new();
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        for at in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(at).map_err(|error| damaged(&self.path, &error))?;
            check_group(&self.path, group.metadata(), self.size)?;
            let labels = self.labels(&*group)?;
            let wrong = || {
                Error::Data(format!(
                    "{}: row group {at}: labels and pictures are not as many",
                    self.path.display()
                ))
            };
            let first = rows.len();
            let mut pictures = 0;
            let column = group.get_column_reader(self.image).map_err(|error| damaged(&self.path, &error))?;
            let ColumnReader::ByteArrayColumnReader(mut column) = column else { return Err(wrong()) };
            self.each(&mut column, |picture: Option<ByteArray>| {
                let number = first + pictures;
                let label = *labels.get(pictures).ok_or_else(wrong)?;
                pictures += 1;
                let Some(picture) = picture else {
                    let text = "has no bytes: pictures that lie elsewhere are not read";
                    return Err(Error::Data(format!(
                        "{}, row {number}: its picture {text}",
                        self.path.display()
                    )));
                };
                let start = spilled.add(picture.data()).map_err(Error::io(&*self.path))?;
                let (archive, size) = (Arc::clone(&self.path), picture.data().len() as u64);
                rows.push((label, Row { archive, name: format!("{stem}, row {number}"), start, size }));
                Ok(())
            })?;
            if pictures != labels.len() {
                return Err(wrong());
            }
        }
        Ok(rows)
    }

    fn labels(&self, group: &dyn RowGroupReader) -> Result<Vec<i64>> {
        let mut labels = Vec::new();
        let mut add = |label: Option<i64>| {
            let row = labels.len();
            let text = || {
                Error::Data(format!("{}: a picture has no label, row {row} of a group", self.path.display()))
            };
            labels.push(label.ok_or_else(text)?);
            Ok(())
        };
        match group.get_column_reader(self.label).map_err(|error| damaged(&self.path, &error))? {
            ColumnReader::Int64ColumnReader(mut column) => self.each(&mut column, add)?,
            ColumnReader::Int32ColumnReader(mut column) => {
                self.each(&mut column, |label: Option<i32>| add(label.map(i64::from)))?;
            }
            _ => return Err(Error::Data(format!("{}: labels are no whole numbers", self.path.display()))),
        }
        Ok(labels)
    }

    /// Hands on each value of a column, `None` where there is none, some rows at a time.
    fn each<T: DataType>(
        &self,
        column: &mut ColumnReaderImpl<T>,
        mut take: impl FnMut(Option<T::T>) -> Result<()>,
    ) -> Result<()> {
        let full = self.reader.metadata().file_metadata().schema_descr();
        let most =
            full.column(if T::get_physical_type() == Type::BYTE_ARRAY { self.image } else { self.label });
        let most = most.max_def_level();
        loop {
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            let read = column.read_records(ROWS, Some(&mut levels), None, &mut values);
            let (records, _, _) = read.map_err(|error| damaged(&self.path, &error))?;
            if records == 0 {
                return Ok(());
            }
            let mut values = values.into_iter();
            if most == 0 {
                values.by_ref().try_for_each(|value| take(Some(value)))?;
            }
            for level in levels {
                take(if level == most { values.next() } else { None })?;
            }
        }
    }
}

/// Numbers of the columns of pictures and of labels, among columns with their paths.
fn wanted(columns: &[(Vec<String>, Type)]) -> Option<(usize, usize)> {
    let bytes = |column: &(Vec<String>, Type)| {
        matches!(&column.0[..], [_, inner] if inner == "bytes") && column.1 == Type::BYTE_ARRAY
    };
    let named = |name: &str| columns.iter().position(|column| bytes(column) && column.0[0] == name);
    let image = IMAGES.iter().find_map(|name| named(name)).or_else(|| columns.iter().position(bytes));
    let number = |name: &str| {
        let fits = |column: &(Vec<String>, Type)| {
            column.0 == [name] && matches!(column.1, Type::INT64 | Type::INT32)
        };
        columns.iter().position(fits)
    };
    Some((image?, LABELS.iter().find_map(|name| number(name))?))
}

/// What a group says of itself is bounded before anything of it is read, and its columns lie in the file.
fn check_group(path: &Path, group: &RowGroupMetaData, size: u64) -> Result<()> {
    let mut unpacked = 0i64;
    for column in group.columns() {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        let end = end.and_then(|(start, length)| start.checked_add(length));
        if end.is_none_or(|end| end > size) {
            return Err(damaged(path, &"a column lies outside of the file"));
        }
        unpacked = unpacked.saturating_add(column.uncompressed_size().max(0));
    }
    match unpacked <= GROUP && group.num_rows() >= 0 {
        true => Ok(()),
        false => Err(Error::Data(format!(
            "{}: a row group has {unpacked} bytes, at most {GROUP} are read: write it with smaller ones (`row_group_size`)",
            path.display()
        ))),
    }
}

/// The crate panics on some files that are damaged: such a one is refused as others are.
fn refusing_panics<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    done.unwrap_or_else(|_| Err(damaged(path, &"its numbers contradict each other")))
}

/// The names of a column's classes, as `datasets` writes them: a list, or a map from numbers.
fn names(facts: &FileMetaData, column: &str) -> Option<Vec<String>> {
    let entries = facts.key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
    let info: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = info.get("info")?.get("features")?.get(column)?.get("names")?;
    if let Ok(list) = serde_json::from_value::<Vec<String>>(names.clone()) {
        return Some(list);
    }
    let map: HashMap<String, String> = serde_json::from_value(names.clone()).ok()?;
    (0..map.len()).map(|number| map.get(&number.to_string()).cloned()).collect()
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let error = error.to_string();
    let hint = match error.contains("Disabled feature") {
        true => {
            ": it is packed in a way that is not read; write it with compression `snappy`, as `datasets` does"
        }
        false => "",
    };
    Error::Data(format!("{}: no parquet that can be read: {error}{hint}", path.display()))
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
