//! One training per folder, as long as the training lives.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};
use crate::hostname::hostname;
use crate::{files, lock};

/// The file in a training's folder. It goes when the training ends; one that a killed training left locks nothing.
const LOCK: &str = ".lock";
/// Most that is read of what the owner wrote.
const NOTE: u64 = 256;

/// A folder that no other training can have meanwhile.
#[derive(Debug)]
pub struct Lock {
    _lock: lock::Lock,
}

impl Lock {
    /// Takes the folder, which exists.
    ///
    /// # Errors
    /// [`Error::InUse`] where another training has it; where the lock's file cannot be written.
    pub fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join(LOCK);
        match lock::Lock::try_take(&path).map_err(Error::io(&path))? {
            Some(mut lock) => {
                let note = format!("process {}{}", std::process::id(), host());
                lock.note(&note).map_err(Error::io(&path))?;
                Ok(Lock { _lock: lock })
            }
            None => {
                // Who it is helps, but that it is somebody is enough.
                let by = files::read_text(&path, NOTE).ok().filter(|by| !by.is_empty());
                let by = by.unwrap_or_else(|| "another process".to_owned());
                Err(Error::InUse { folder: folder.to_owned(), by })
            }
        }
    }

    /// Whether a training could take the folder now.
    ///
    /// # Errors
    /// [`Error::InUse`] where another training has it; where the lock's file cannot be read.
    pub fn probe(folder: &Path) -> Result<()> {
        let path = folder.join(LOCK);
        match path.symlink_metadata() {
            Ok(_) => Lock::take(folder).map(drop),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }
}

/// Whether a training has the folder now. Writes nothing: the folder may be another's.
pub fn is_held(folder: &Path) -> bool {
    let Ok((file, _)) = files::open(&folder.join(LOCK)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// ` on HOST`, where the name can be had: folders are shared between machines.
fn host() -> String {
    hostname().map_or(String::new(), |name| format!(" on {name}"))
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
        assert!(is_held(dir.path()));
        drop(held);
        assert!(!is_held(dir.path()));
        assert!(!dir.path().join(LOCK).exists());
        std::fs::write(dir.path().join(LOCK), "process 1").expect("writable");
        Lock::probe(dir.path()).expect("its owner is dead");
        Lock::take(dir.path()).expect("free again");
    }
}
