//! People's own pictures: what lies under a path becomes a [`Dataset`].
//!
//! ```text
//! path -> folder, table, tar: Found (where each picture of each class lies) -> gather: checked, split -> Encoded (a Source)
//! ```
//!
//! Pictures are read when they are asked for, so a set may be larger than the memory. Decoded pictures are kept as long as there is
//! room ([`Rules::cache`]).

mod encoded;
mod folder;
mod found;
mod gather;
mod place;
mod rules;
mod table;
mod tar;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use self::found::Found;
pub use self::rules::Rules;
use super::source::Dataset;
use crate::error::{Error, Result};

/// Finds the pictures under a path; decodes none of them.
///
/// # Errors
/// [`Error::Data`] that says what is wrong with what lies there, [`Error::Io`] where it cannot be read.
pub fn load(path: &Path, rules: &Rules) -> Result<Dataset> {
    gather::gather(&name(path)?, find(path)?, rules)
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
        return folder::find(path);
    }
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("csv") => table::csv(path),
        Some("jsonl") => table::json_lines(path),
        _ => Err(Error::Data(format!(
            "{} is no source of pictures: a folder is, and a file that ends with .csv, .jsonl, .tar or .tar.gz",
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
