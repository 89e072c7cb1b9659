//! Locks that files stand for: one process at a time brings a data set into a folder, or trains in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a lock that another process has.
const PAUSE: Duration = Duration::from_millis(200);

/// A lock that a file stands for. The system frees it when its owner ends, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Locked as long as it is open.
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock; `waiting` is called now and then as long as another process has it.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn take(path: &Path, waiting: &mut dyn FnMut()) -> io::Result<Self> {
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            waiting();
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes the lock unless another process has it.
    ///
    /// # Errors
    /// See [`Lock::take`].
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            match file.try_lock() {
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Some network file systems have no locks. Then nobody waits for anybody.
                Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => (),
                Err(TryLockError::Error(e)) => return Err(e),
            }
            // The owner before removed its file; what is locked now may be that one.
            if is_at(&file, path)? {
                return Ok(Some(Lock { file, path: path.to_owned() }));
            }
        }
    }

    /// Writes what others are told of the owner.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Lock {
    /// The file goes while it is still locked: nobody else's is removed. One that stays locks nothing.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the path still leads to an open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Ok(there) => there,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let open = file.metadata()?;
        Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, there);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_lock_has_one_owner_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("lock");
        let first = Lock::try_take(&path).expect("writable").expect("free");
        assert!(Lock::try_take(&path).expect("writable").is_none());
        drop(first);
        assert!(!path.exists());
        // A file that a killed process left is no lock.
        fs::write(&path, "").expect("writable");
        assert!(Lock::try_take(&path).expect("writable").is_some());
    }

    #[test]
    fn many_take_turns() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("lock");
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let lock = Lock::take(&path, &mut || ()).expect("in turn");
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(20));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                });
            }
        });
        assert_eq!(most.into_inner(), 1, "never two at once");
        assert!(!path.exists());
    }
}
