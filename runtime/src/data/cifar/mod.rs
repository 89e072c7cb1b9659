//! CIFAR-10 and CIFAR-100 in their official binary form (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A file is a sequence of records: label bytes (CIFAR-10: the class; CIFAR-100: the coarse, then the fine class),
//! then 3072 bytes of pixels, `[channel][row][column]`. In memory the channels come last.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{prefix, unpack};
use super::fetch::{Progress, check, fetch, part_of};
use super::places::Places;
use super::source::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::lock::Lock;

mod find;
mod records;
mod set;
#[cfg(test)]
mod tests;

use find::{Found, find, incomplete};
pub use records::{decode_records, read};
pub use set::{CIFAR10, CIFAR100, Cifar};

/// Finds the files, or unpacks or downloads them, and reads them.
pub(super) fn load(
    set: &'static Cifar,
    places: &Places,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset> {
    let root = places.folder()?;
    let dir = match find(set, root)? {
        Found::Complete(dir) => {
            tidy(set, root);
            dir
        }
        Found::Incomplete { dir, missing } if places.is_named() => {
            return Err(incomplete(set, &dir, &missing));
        }
        Found::Incomplete { .. } | Found::Nothing => bring(set, places, root, progress)?,
    };
    read(set, &dir)
}

/// Unpacks the archive, the user's own or a downloaded one. One process at a time does so.
fn bring(set: &Cifar, places: &Places, root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let own = root.join(set.archive.file_name());
    let is_there = files::size(&own).map_err(Error::io(&own))?.is_some();
    if !is_there && !places.download {
        let (name, url) = (set.facts.name, set.archive.url);
        return Err(Error::Data(format!(
            "{name} is not in {}; get {url} and {}",
            root.display(),
            by_hand(set, root)
        )));
    }
    fs::create_dir_all(root).map_err(Error::io(root))?;
    let downloaded = temporary(set, root, "tar.gz");
    let total = set.archive.size;
    let mut others = || {
        let done = fs::metadata(part_of(&downloaded)).map_or(0, |part| part.len());
        progress(Progress { done, total });
    };
    let lock = Lock::take(&temporary(set, root, LOCK), &mut others).map_err(Error::io(root))?;
    // Who had the lock before may have brought it.
    let dir = match find(set, root)? {
        Found::Complete(dir) => dir,
        Found::Incomplete { .. } | Found::Nothing => {
            if is_there {
                unpack_own(set, &own, root)?;
            } else {
                download(set, &downloaded, root, progress)?;
            }
            root.join(set.folder)
        }
    };
    remove(leftovers(set, root));
    drop(lock);
    Ok(dir)
}

/// The archive that a user laid there. It stays, whatever is wrong with it.
fn unpack_own(set: &Cifar, own: &Path, root: &Path) -> Result<()> {
    match check(&set.archive, own)? {
        None => unpack(own, set.folder, &set.members(), root),
        Some(reason) => {
            let text = format!("{}: {reason}; remove it, and it is downloaded", own.display());
            Err(Error::Data(text))
        }
    }
}

fn download(set: &Cifar, to: &Path, root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    fetch(&set.archive, to, progress).map_err(|e| match e {
        Error::Fetch { url, reason } => {
            Error::Fetch { url, reason: format!("{reason}; or {}", by_hand(set, root)) }
        }
        other => other,
    })?;
    unpack(to, set.folder, &set.members(), root)
}

/// How a user goes on without a download.
fn by_hand(set: &Cifar, root: &Path) -> String {
    format!(
        "put {} into {}, or its files, unpacked ({}/{}, ...)",
        set.archive.file_name(),
        root.display(),
        set.folder,
        set.train[0].name
    )
}

/// The end of the lock's name.
const LOCK: &str = "lock";

/// A file that is ours as long as the set is being brought. The archive under its own name is always a user's.
fn temporary(set: &Cifar, root: &Path, what: &str) -> PathBuf {
    root.join(format!("{}{what}", prefix(set.folder)))
}

/// Removes what killed processes left beside a set that is complete. It matters to nobody where that fails.
fn tidy(set: &Cifar, root: &Path) {
    if leftovers(set, root).is_empty() {
        return;
    }
    if let Ok(Some(_lock)) = Lock::try_take(&temporary(set, root, LOCK)) {
        remove(leftovers(set, root));
    }
}

/// Temporary files and folders of a set, but for the lock.
fn leftovers(set: &Cifar, root: &Path) -> Vec<PathBuf> {
    let (ours, lock) = (prefix(set.folder), temporary(set, root, LOCK));
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let paths = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours));
    paths.map(|entry| entry.path()).filter(|path| *path != lock).collect()
}

fn remove(paths: Vec<PathBuf>) {
    for path in paths {
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}
