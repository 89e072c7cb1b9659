//! Files that the command line names as a command's result.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use resnetc_runtime::weights::file::write_atomic;

use crate::failure::{Failure, Result};

/// Most symbolic links that are followed from one to the next: what Linux allows.
const MOST_LINKS: usize = 40;

/// Writes a file: whole or not at all where it is a regular one or new. A device, a FIFO or an open descriptor is written to, not
/// replaced. Links are followed, and a file that is replaced keeps its mode and its owner.
pub fn write(path: &Path, bytes: &[u8]) -> Result {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let Some(target) = target(path).map_err(failed)? else {
        return pass_on(path, bytes).map_err(failed);
    };
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return pass_on(path, bytes).map_err(failed);
    }
    write_atomic(&target, bytes)?;
    match before {
        Some(before) => restore(&target, &before).map_err(failed),
        None => Ok(()),
    }
}

/// What symbolic links lead to, if that is there or not; `None` where they lead to a descriptor of a process.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if is_descriptor(&path) {
            return Ok(None);
        }
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Ok(Some(path));
        }
        let link = fs::read_link(&path)?;
        // One that is not absolute is read from where the link is.
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(ErrorKind::InvalidInput.into())
}

/// Whether a path is an open file of a process, as `/dev/stdout` is. A file that such a link names may be open to others, who would
/// not see it replaced.
fn is_descriptor(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with("/proc") || folder == Path::new("/dev/fd"))
}

/// Writes to what is there already. Where its reader has gone, nobody wants the rest.
fn pass_on(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = File::options().append(true).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.flush()
    });
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Gives a new file the mode and, where that is allowed, the owner of the one that it replaced.
fn restore(path: &Path, before: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        // Only the superuser gives files away; whoever replaces another's file has a file of their own.
        let _ = chown(path, Some(before.uid()), Some(before.gid()));
    }
    fs::set_permissions(path, before.permissions())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_followed_and_modes_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).expect("made");
        fs::write(at("sub/file"), "old").expect("written");
        fs::set_permissions(at("sub/file"), fs::Permissions::from_mode(0o600)).expect("set");
        symlink("sub/file", at("link")).expect("linked");
        symlink("link", at("to-link")).expect("linked");
        write(&at("to-link"), b"new").expect("written");
        assert_eq!(fs::read(at("sub/file")).expect("there"), b"new");
        assert_eq!(fs::metadata(at("sub/file")).expect("there").permissions().mode() & 0o777, 0o600);
        for link in ["link", "to-link"] {
            assert!(fs::symlink_metadata(at(link)).expect("there").is_symlink(), "{link}");
        }
        symlink("sub/made", at("dangling")).expect("linked");
        write(&at("dangling"), b"made").expect("written");
        assert_eq!(fs::read(at("sub/made")).expect("there"), b"made");
        symlink("circle", at("circle")).expect("linked");
        assert!(write(&at("circle"), b"").is_err());
        assert_eq!(fs::read_dir(at("sub")).expect("there").count(), 2, "no temporary file is left");
    }

    #[test]
    fn what_is_no_regular_file_is_written_to() {
        let folder = tempfile::tempdir().expect("a folder");
        symlink("/dev/null", folder.path().join("null")).expect("linked");
        for path in [Path::new("/dev/null"), &folder.path().join("null")] {
            write(path, b"gone").expect("written");
            assert!(fs::metadata(path).expect("there").file_type().is_char_device(), "{path:?}");
        }
        assert!(write(Path::new("/dev/full"), b"x").is_err() || !Path::new("/dev/full").exists());
        assert!(write(folder.path(), b"x").is_err(), "a folder is not written to");
    }
}
