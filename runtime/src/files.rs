//! Files that users name, opened and read with care: regular ones only, no more of them than such a file may have.
//!
//! A named pipe would make its reader wait for ever, a device never end. What a file is and how large, is looked at before a
//! byte is read.

#![forbid(unsafe_code)]

use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

/// What the names of all temporary files begin with.
pub const TEMPORARY: &str = ".resnetc-";
/// How the name of one ends that becomes another file as soon as it is written. It is locked meanwhile.
pub const TEMPORARY_END: &str = ".tmp";

/// A temporary file younger than that may not be locked yet.
const NEW: Duration = Duration::from_secs(10);
/// One that nobody has written to for so long is dead, where there are no locks.
const OLD: Duration = Duration::from_secs(3600);

/// Opens a regular file, or a link to one, and tells its size.
///
/// # Errors
/// Those of the system, and one that says what it is where it is no regular file.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened, for that alone may wait or wind a tape; and after, for it may be another file by then.
    regular(fs::metadata(path)?.file_type())?;
    let file = without_waiting().open(path)?;
    let found = file.metadata()?;
    regular(found.file_type())?;
    Ok((file, found.len()))
}

/// The size of a regular file; `None` where nothing is.
///
/// # Errors
/// See [`open`].
pub fn size(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => regular(found.file_type()).map(|()| Some(found.len())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The text of a file of at most `most` bytes.
///
/// # Errors
/// See [`open`]; where the file is larger, before any of it is read; where it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_bytes(path, most)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        io::Error::new(ErrorKind::InvalidData, format!("it is no UTF-8 text: byte {at} cannot be read"))
    })
}

/// The content of a file of at most `most` bytes.
///
/// # Errors
/// See [`open`]; where the file is larger, before any of it is read.
pub fn read_bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, size) = open(path)?;
    let too_large = |size: String| {
        let text = format!("it has {size} bytes, such a file has {most} at most");
        io::Error::new(ErrorKind::FileTooLarge, text)
    };
    if size > most {
        return Err(too_large(size.to_string()));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(format!("more than {most}")));
    }
    Ok(bytes)
}

/// Fills `bytes` from a place of an open file; where another thread reads, does not matter.
///
/// # Errors
/// Those of the system, and where the file ends before.
pub fn read_at(file: &File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
    }
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], start + done as u64)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}

/// A file that is being written, and takes the place of another one when it is whole. Dropped before, it is gone.
#[derive(Debug)]
pub struct Staged {
    file: tempfile::NamedTempFile,
}

impl Staged {
    /// A temporary file in the folder of that path, locked as long as it is written. What killed processes left there is removed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        sweep(folder);
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY).suffix(TEMPORARY_END);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The usual mode of a new file (the umask still applies), not a private one.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // The error would name the file that could not be made, whose name says nothing to anyone.
        let unnamed =
            |e: io::Error| match e.get_ref().and_then(|inner| inner.source()).map(ToString::to_string) {
                Some(cause) => io::Error::new(e.kind(), cause),
                None => e,
            };
        let file = builder.tempfile_in(folder).map_err(unnamed)?;
        // Tells others that somebody is at work; where there are no locks, its age does.
        let _ = file.as_file().try_lock();
        Ok(Staged { file })
    }

    /// The file itself: its errors do not end with a name that says nothing to anyone.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its name, in the place of what had it. What was written should be on the disk by then ([`File::sync_all`]).
    ///
    /// # Errors
    /// Those of the system.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        self.file.persist(path).map_err(|e| e.error)?;
        // The rename itself is durable once the folder is synced; folders cannot be opened everywhere.
        #[cfg(unix)]
        File::open(folder_of(path)).and_then(|folder| folder.sync_all())?;
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes the temporary files in a folder that killed processes left there. It matters to nobody where that fails.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.starts_with(TEMPORARY) && name.ends_with(TEMPORARY_END);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) && is_dead(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody writes to a temporary file any more.
fn is_dead(path: &Path) -> bool {
    let Ok((file, _)) = open(path) else { return false };
    let changed = file.metadata().and_then(|found| found.modified());
    let age = changed.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    match file.try_lock() {
        Ok(()) => age > NEW,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => age > OLD,
    }
}

/// Opens for reading; a pipe that has come to the path meanwhile does not make it wait.
fn without_waiting() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK);
    }
    options
}

fn regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
    Err(io::Error::new(found, format!("it is {}, no regular file", name(kind))))
}

fn name(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let special = [
            (kind.is_fifo(), "a named pipe"),
            (kind.is_char_device() || kind.is_block_device(), "a device"),
            (kind.is_socket(), "a socket"),
        ];
        if let Some((_, name)) = special.into_iter().find(|(is, _)| *is) {
            return name;
        }
    }
    if kind.is_dir() { "a folder" } else { "something special" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason why a path is refused, by all that read.
    fn reason(path: &Path) -> String {
        let reasons = [
            open(path).map(drop).expect_err("no regular file"),
            size(path).map(drop).expect_err("no regular file"),
            read_text(path, 1000).map(drop).expect_err("no regular file"),
        ];
        let [reason, rest @ ..] = reasons.map(|e| e.to_string());
        assert!(rest.iter().all(|other| *other == reason), "{reason}: {rest:?}");
        reason
    }

    #[test]
    fn what_is_no_regular_file_is_named() {
        let folder = tempfile::tempdir().expect("temp folder");
        assert_eq!(reason(folder.path()), "it is a folder, no regular file");
        if cfg!(unix) {
            assert_eq!(reason(Path::new("/dev/zero")), "it is a device, no regular file");
        }
    }

    /// Without a writer, to open a pipe waits for ever.
    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("temp folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
        assert!(made.success());
        assert_eq!(reason(&pipe), "it is a named pipe, no regular file");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("writable");
        assert_eq!(reason(&link), "it is a named pipe, no regular file");
    }

    #[test]
    fn a_file_over_its_size_is_refused_unread() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("huge");
        // A hole: it takes no room, but to read it would take terabytes.
        File::create(&path).and_then(|file| file.set_len(1 << 42)).expect("a hole");
        assert_eq!(size(&path).expect("regular"), Some(1 << 42));
        let error = read_text(&path, 1000).expect_err("too large").to_string();
        assert_eq!(error, "it has 4398046511104 bytes, such a file has 1000 at most");
    }

    #[test]
    fn texts_are_read_and_other_bytes_are_told() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("text");
        assert_eq!(size(&path).expect("nothing there"), None);
        assert_eq!(read_text(&path, 9).expect_err("nothing there").kind(), ErrorKind::NotFound);
        fs::write(&path, "gr\u{fc}n").expect("writable");
        assert_eq!(read_text(&path, 5).expect("five bytes"), "gr\u{fc}n");
        fs::write(&path, b"gr\xfcn").expect("writable");
        let error = read_text(&path, 5).expect_err("Latin-1").to_string();
        assert_eq!(error, "it is no UTF-8 text: byte 2 cannot be read");
    }

    #[test]
    fn temporary_files_go_when_their_owner_is_dead() {
        let folder = tempfile::tempdir().expect("temp folder");
        let make = |name: &str, age: u64| {
            let path = folder.path().join(name);
            let file = File::create(&path).expect("writable");
            let then = std::time::SystemTime::now() - Duration::from_secs(age);
            file.set_modified(then).expect("a file's time can be set");
            (path, file)
        };
        let (dead, _) = make(".resnetc-a1B2c3.tmp", 60);
        let (alive, locked) = make(".resnetc-d4E5f6.tmp", 60);
        locked.try_lock().expect("free");
        let (new, _) = make(".resnetc-g7H8i9.tmp", 0);
        let (own, _) = make(".resnetc-config", 60);
        sweep(folder.path());
        assert_eq!([&dead, &alive, &new, &own].map(|path| path.exists()), [false, true, true, true]);
        drop(locked);
        sweep(folder.path());
        assert!(!alive.exists(), "its owner has ended");
    }

    /// Files of the kernel have no size, but contents.
    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_tell_no_size_are_read_up_to_the_most() {
        let path = Path::new("/proc/self/status");
        assert!(read_text(path, 1 << 20).expect("readable").starts_with("Name:"));
        let error = read_text(path, 10).expect_err("longer").to_string();
        assert_eq!(error, "it has more than 10 bytes, such a file has 10 at most");
    }
}
