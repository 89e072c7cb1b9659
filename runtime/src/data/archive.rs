//! Unpacks the few files we want out of a `.tar.gz`, and nothing else.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::error::{Error, Result};
use crate::files::{self, TEMPORARY};

/// A file that an archive must hold.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name inside the folder.
    pub name: &'static str,
    /// Most bytes it may have.
    pub most: u64,
}

/// Entries looked at before an archive counts as hostile.
const MOST_ENTRIES: usize = 1000;

/// Unpacks `folder/<member>` for all members into `root/folder`, by way of a temporary folder beside it that is renamed
/// when everything is there. Other regular files of the archive are passed over.
///
/// # Errors
/// [`Error::Data`] for a path that leaves the folder, a wanted name that is no regular file, a file over its size, or a
/// missing one. Nothing is then left behind.
pub fn unpack(archive: &Path, folder: &str, members: &[Member], root: &Path) -> Result<()> {
    let target = root.join(folder);
    let (file, _) = files::open(archive).map_err(Error::io(archive))?;
    let temporary = tempfile::Builder::new().prefix(&prefix(folder)).tempdir_in(root);
    let temporary = temporary.map_err(Error::io(root))?;
    extract(BufReader::new(file), folder, members, temporary.path()).map_err(|e| match e {
        Fault::Archive(reason) => Error::Data(format!("{}: {reason}", archive.display())),
        Fault::Write(source) => Error::Io { path: target.clone(), source },
    })?;
    if target.is_dir() {
        // An incomplete folder: a complete one would have been found before anything was unpacked.
        merge(temporary.path(), &target, members)
    } else {
        fs::rename(temporary.path(), &target).map_err(Error::io(&target))
    }
}

/// What the names of temporary files and folders begin with, as long as `folder` is not whole.
pub(super) fn prefix(folder: &str) -> String {
    format!("{TEMPORARY}{folder}.")
}

/// Moves the files into a folder that is there already.
fn merge(from: &Path, target: &Path, members: &[Member]) -> Result<()> {
    for member in members {
        let to = target.join(member.name);
        fs::rename(from.join(member.name), &to).map_err(Error::io(&to))?;
    }
    Ok(())
}

/// Why unpacking stopped.
enum Fault {
    /// The archive is damaged or hostile.
    Archive(String),
    /// The disk is full, say.
    Write(io::Error),
}

fn extract(
    compressed: impl Read,
    folder: &str,
    members: &[Member],
    to: &Path,
) -> std::result::Result<(), Fault> {
    let damaged = |e: io::Error| Fault::Archive(format!("damaged archive: {e}"));
    let mut archive = Archive::new(GzDecoder::new(compressed));
    let mut done = vec![false; members.len()];
    for (count, entry) in archive.entries().map_err(damaged)?.enumerate() {
        if count >= MOST_ENTRIES {
            return Err(Fault::Archive(format!("more than {MOST_ENTRIES} entries")));
        }
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let Some(name) = inside(&path, folder).map_err(Fault::Archive)? else { continue };
        let Some(index) = members.iter().position(|m| m.name == name) else { continue };
        let member = &members[index];
        if entry.header().entry_type() != EntryType::Regular {
            return Err(Fault::Archive(format!("{} is no regular file", path.display())));
        }
        if done[index] || entry.size() > member.most {
            let fault = if done[index] { "is there twice" } else { "is larger than it should be" };
            return Err(Fault::Archive(format!("{} {fault}", path.display())));
        }
        copy(&mut entry, &to.join(member.name))?;
        done[index] = true;
    }
    match members.iter().zip(done).find(|(_, done)| !done) {
        Some((member, _)) => Err(Fault::Archive(format!("{folder}/{} is missing", member.name))),
        None => Ok(()),
    }
}

/// The file name of a path `folder/name`, `None` for a folder or a deeper path; an error where it leaves the archive.
fn inside<'p>(path: &'p Path, folder: &str) -> std::result::Result<Option<&'p str>, String> {
    let mut normal = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => normal.push(part),
            Component::CurDir => (),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{} leads out of the archive", path.display()));
            }
        }
    }
    Ok(match normal.as_slice() {
        [parent, name] if *parent == folder => name.to_str(),
        _ => None,
    })
}

/// Copies an entry, telling faults of reading from those of writing. The reader ends at the entry's size, checked before.
fn copy(entry: &mut impl Read, to: &Path) -> std::result::Result<(), Fault> {
    let mut file = File::create_new(to).map_err(Fault::Write)?;
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match entry.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => io::Write::write_all(&mut file, &buffer[..n]).map_err(Fault::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(Fault::Archive(format!("damaged archive: {e}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    const MEMBERS: [Member; 2] = [Member { name: "a.bin", most: 8 }, Member { name: "b.bin", most: 8 }];

    /// Writes an entry whose name is taken as it is: the tar crate's own writer refuses hostile names.
    fn entry(kind: EntryType, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        let raw = header.as_mut_bytes();
        raw[..name.len()].copy_from_slice(name.as_bytes());
        raw[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn regular(name: &str, data: &[u8]) -> Vec<u8> {
        entry(EntryType::Regular, name, "", data)
    }

    /// Unpacks an archive of these entries into a fresh folder, returned with the result.
    fn attempt(entries: &[Vec<u8>]) -> (tempfile::TempDir, Result<()>) {
        let root = tempfile::tempdir().expect("temp folder");
        let archive = root.path().join("set.tar.gz");
        let mut encoder = GzEncoder::new(File::create(&archive).expect("writable"), Compression::fast());
        for part in entries {
            io::Write::write_all(&mut encoder, part).expect("writable");
        }
        io::Write::write_all(&mut encoder, &[0; 1024]).expect("writable");
        encoder.finish().expect("writable");
        let result = unpack(&archive, "set", &MEMBERS, root.path());
        (root, result)
    }

    fn refused(entries: &[Vec<u8>], reason: &str) {
        let (root, result) = attempt(entries);
        let message = result.expect_err(reason).to_string();
        assert!(message.contains(reason), "{message:?} does not say {reason:?}");
        let left: Vec<_> = fs::read_dir(root.path()).expect("readable").flatten().collect();
        assert_eq!(left.len(), 1, "only the archive is left: {left:?}");
    }

    #[test]
    fn unpacks_what_is_wanted_and_nothing_else() {
        let good =
            [regular("set/a.bin", b"aaaa"), regular("set/readme.html", b"no"), regular("set/b.bin", b"b")];
        let (root, result) = attempt(&good);
        result.expect("valid archive");
        let dir = root.path().join("set");
        assert_eq!(fs::read(dir.join("a.bin")).expect("unpacked"), b"aaaa");
        assert_eq!(fs::read(dir.join("b.bin")).expect("unpacked"), b"b");
        assert!(!dir.join("readme.html").exists());
    }

    #[test]
    fn refuses_hostile_entries() {
        let b = || regular("set/b.bin", b"b");
        refused(&[b(), regular("set/../a.bin", b"x")], "leads out of the archive");
        refused(&[b(), regular("../../a.bin", b"x")], "leads out of the archive");
        refused(&[b(), regular("/set/a.bin", b"x")], "leads out of the archive");
        refused(&[b(), entry(EntryType::Symlink, "set/a.bin", "/etc/passwd", b"")], "is no regular file");
        refused(&[b(), entry(EntryType::Link, "set/a.bin", "set/b.bin", b"")], "is no regular file");
        refused(&[b(), regular("set/a.bin", b"ninebytes")], "is larger than it should be");
        refused(&[b(), b(), regular("set/a.bin", b"x")], "is there twice");
        refused(&[b()], "set/a.bin is missing");
    }

    #[test]
    fn refuses_a_damaged_archive() {
        let root = tempfile::tempdir().expect("temp folder");
        let archive = root.path().join("set.tar.gz");
        fs::write(&archive, b"not gzip at all").expect("writable");
        let message = unpack(&archive, "set", &MEMBERS, root.path()).expect_err("not an archive").to_string();
        assert!(message.contains("damaged archive"), "{message}");
    }

    #[test]
    fn completes_a_folder_that_lacks_a_file() {
        let entries = [regular("set/a.bin", b"new"), regular("set/b.bin", b"b")];
        let (root, result) = attempt(&entries);
        result.expect("valid archive");
        fs::remove_file(root.path().join("set/a.bin")).expect("writable");
        unpack(&root.path().join("set.tar.gz"), "set", &MEMBERS, root.path()).expect("again");
        assert_eq!(fs::read(root.path().join("set/a.bin")).expect("there again"), b"new");
    }
}
