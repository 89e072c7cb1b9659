//! Where a set's files are, and what is missing of them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::set::Cifar;
use crate::error::{Error, Result};

/// What a folder has of a set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All files, in this folder.
    Complete(PathBuf),
    /// Some of them.
    Incomplete {
        /// The folder.
        dir: PathBuf,
        /// The others.
        missing: Vec<&'static str>,
    },
    /// None.
    Nothing,
}

impl Found {
    fn is_complete(&self) -> bool {
        matches!(self, Found::Complete(_))
    }
}

/// Looks into the folder given, and into the archive's folder inside it.
pub(super) fn find(set: &Cifar, root: &Path) -> Result<Found> {
    let mut found = look(set, root.to_path_buf())?;
    if !found.is_complete() {
        let inside = look(set, root.join(set.folder))?;
        if inside.is_complete() || found == Found::Nothing {
            found = inside;
        }
    }
    Ok(found)
}

fn look(set: &Cifar, dir: PathBuf) -> Result<Found> {
    let mut missing = Vec::new();
    for file in set.files() {
        let path = dir.join(file.name);
        // Whatever it is that has the name: who reads it says what is wrong with it.
        match fs::metadata(&path) {
            Ok(_) => (),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                missing.push(file.name);
            }
            Err(e) => return Err(Error::io(path)(e)),
        }
    }
    Ok(match missing.len() {
        0 => Found::Complete(dir),
        all if all == set.files().count() => Found::Nothing,
        _ => Found::Incomplete { dir, missing },
    })
}

/// What to do about a user's folder that lacks files: to complete it is the user's business.
pub(super) fn incomplete(set: &Cifar, dir: &Path, missing: &[&str]) -> Error {
    let (verb, them) = if missing.len() == 1 { ("is", "it") } else { ("are", "them") };
    Error::Data(format!(
        "{} is incomplete: {} {verb} missing from {}; put {them} there, out of {} ({}), or name a folder without any \
         file of the set, into which all is downloaded",
        set.facts.name,
        missing.join(", "),
        dir.display(),
        set.archive.file_name(),
        set.archive.url,
    ))
}
