//! People's own pictures: what lies under a path becomes a [`Dataset`].
//!
//! ```text
//! path -> folder, table, tar, columns (parquet): Found (where each picture of each class lies) -> gather: checked, split -> Encoded (a Source)
//!      -> packed: pictures that `packed::pack` decoded -> Packed (a Source)
//!      -> arrays: pictures of one size, side by side -> Stored, InMemory (Sources)
//! ```
//!
//! Pictures are read when they are asked for, so a set may be larger than the memory. Decoded pictures are kept as long as there is
//! room ([`Rules::cache`]).

mod arrays;
mod choose;
#[cfg(feature = "parquet")]
mod columns;
mod encoded;
mod folder;
mod found;
mod gather;
pub mod packed;
mod place;
mod rules;
mod table;
mod tar;
#[cfg(test)]
mod tests;
mod unpack;

use std::fs;
use std::path::Path;

use self::found::Found;
pub use self::rules::Rules;
use super::source::Dataset;
use crate::error::{Error, Result};

/// Finds the pictures under a path; decodes none of them.
///
/// Pictures of one size that lie in arrays come as a source of their own, all others as files that are decoded.
///
/// # Errors
/// [`Error::Data`] that says what is wrong with what lies there, [`Error::Io`] where it cannot be read.
pub fn load(path: &Path, rules: &Rules) -> Result<Dataset> {
    let name = name(path)?;
    match arrays(&name, path, rules)? {
        Some(set) => Ok(set),
        None => gather::gather(&name, find(path)?, rules),
    }
}

/// The data set, where the path leads to arrays.
fn arrays(name: &str, path: &Path, rules: &Rules) -> Result<Option<Dataset>> {
    // What is not there, or names several archives, is not looked into.
    let Ok(kind) = fs::metadata(path) else { return Ok(None) };
    if kind.is_dir() {
        return match arrays::in_folder(name, path)? {
            Some(set) => Ok(Some(set)),
            None => arrays::idx(name, path, rules),
        };
    }
    if packed::is_packed(path) {
        return packed::load(name, path).map(Some);
    }
    match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) {
        true => arrays::npz(name, path, rules).map(Some),
        false if tar::is_archive(path) => arrays::in_archive(name, path),
        false => Ok(None),
    }
}

/// Finds out what lies under a path, and where its pictures are.
fn find(path: &Path) -> Result<Found> {
    if tar::is_archive(path) {
        return tar::find(path);
    }
    let kind = fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Data(format!(
            "{} does not exist: a relative path is looked for in the working directory",
            path.display()
        )),
        _ => Error::io(path)(source),
    })?;
    if kind.is_dir() {
        return parquet(path)?.map_or_else(|| folder::find(path), Ok);
    }
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("csv") => table::csv(path),
        Some("jsonl") => table::json_lines(path),
        Some("parquet") => Ok(parquet(path)?.unwrap_or_default()),
        _ => Err(Error::Data(format!(
            "{} is no source of pictures: a folder is, a file that ends with .csv, .jsonl, .npz, .parquet, .tar or .tar.gz, and one of `resnetc data pack`",
            path.display()
        ))),
    }
}

/// The pictures of a file of parquet, or of a folder that has such; `None` where it has none.
#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> Result<Option<Found>> {
    columns::find(path)
}

/// This build reads none: a file is refused, a folder is looked into for other pictures.
#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path) -> Result<Option<Found>> {
    match path.is_dir() {
        true => Ok(None),
        false => Err(Error::Data(format!(
            "{}: this build reads no parquet; build `resnetc` with its feature `parquet`, which is there by default",
            path.display()
        ))),
    }
}

/// What people and checkpoints call a path: its last name, whatever way leads there.
fn name(path: &Path) -> Result<String> {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_else(|| "pictures".to_owned()))
}
