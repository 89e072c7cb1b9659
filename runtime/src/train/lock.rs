//! One training per folder: a lock that is held as long as the training lives.
//!
//! The operating system holds it, so it is free the moment its owner is dead, however that came about. The file's text only
//! says who it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// The file in a training's folder. It stays: taking it away would race with the next one that opens it.
const LOCK: &str = ".lock";
/// Most that is read of what the owner wrote.
const NOTE: u64 = 256;

/// A folder that no other training can have meanwhile.
#[derive(Debug)]
pub struct Lock {
    /// Locked while it is open.
    _file: File,
}

impl Lock {
    /// Takes the folder, which exists.
    ///
    /// # Errors
    /// [`Error::InUse`] where another training has it; where the lock's file cannot be written.
    pub fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join(LOCK);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(Error::io(&path))?;
        lock(&mut file, folder, &path)?;
        let note = format!("process {}{}\n", std::process::id(), host());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
        written.map_err(Error::io(&path))?;
        Ok(Lock { _file: file })
    }

    /// Whether a training could take the folder now. Changes nothing.
    ///
    /// # Errors
    /// [`Error::InUse`] where another training has it; where the lock's file cannot be read.
    pub fn probe(folder: &Path) -> Result<()> {
        let path = folder.join(LOCK);
        match File::open(&path) {
            Ok(mut file) => lock(&mut file, folder, &path),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }
}

fn lock(file: &mut File, folder: &Path, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            // Who it is helps, but that it is somebody is enough.
            let _ = file.take(NOTE).read_to_string(&mut by);
            let by = Some(by.trim().to_owned()).filter(|by| !by.is_empty());
            Err(Error::InUse {
                folder: folder.to_owned(),
                by: by.unwrap_or_else(|| "another process".into()),
            })
        }
        // A file system without locks: better a training without one than none.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
    }
}

/// ` on HOST`, where the name can be had: folders are shared between machines.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { String::new() } else { format!(" on {}", name.trim()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_had_by_one_at_a_time() {
        let dir = tempfile::tempdir().expect("temp folder");
        Lock::probe(dir.path()).expect("nobody was ever here");
        let held = Lock::take(dir.path()).expect("free");
        for error in [Lock::take(dir.path()).err(), Lock::probe(dir.path()).err()] {
            let text = error.expect("taken").to_string();
            let mine = format!("process {}", std::process::id());
            assert!(text.contains("another training") && text.contains(&mine), "{text}");
        }
        drop(held);
        Lock::probe(dir.path()).expect("free again");
        Lock::take(dir.path()).expect("free again");
    }
}
