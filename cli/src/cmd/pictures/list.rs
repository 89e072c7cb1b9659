//! Which pictures a command line means.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use resnetc_pictures::decode::EXTENSIONS;
use resnetc_pictures::{Limits, Result};
use resnetc_runtime::files;

use crate::cmd::spec::is_stdin;

/// A picture, and what it is called in answers.
#[derive(Debug)]
pub struct Item {
    /// As it was written, or found below a folder that was.
    pub name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    /// What standard input had; it can be read once.
    Bytes(Vec<u8>),
}

impl Item {
    /// The file's content.
    pub fn read(&self, limits: &Limits) -> Result<std::borrow::Cow<'_, [u8]>> {
        match &self.source {
            Source::File(path) => Ok(files::read_bytes(path, limits.bytes)?.into()),
            Source::Bytes(bytes) => Ok(bytes.as_slice().into()),
        }
    }
}

/// The files and those of folders, in that order; `fault` hears of what cannot be listed.
pub fn list(paths: &[PathBuf], limits: &Limits, fault: &mut dyn FnMut(String)) -> Vec<Item> {
    let mut items = Vec::new();
    for path in paths {
        let name = path.to_string_lossy().into_owned();
        if is_stdin(path) {
            match stdin(usize::try_from(limits.bytes).unwrap_or(usize::MAX)) {
                Ok(bytes) => items.push(Item { name: "<stdin>".into(), source: Source::Bytes(bytes) }),
                Err(error) => fault(format!("standard input: {error}")),
            }
        } else if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
            let before = items.len();
            let mut empty = true;
            below(path, &mut items, &mut |text| {
                empty = false;
                fault(text);
            });
            if empty && items.len() == before {
                fault(format!("{name}: no pictures are below this folder ({})", EXTENSIONS.join(", ")));
            }
        } else {
            items.push(Item { name, source: Source::File(path.clone()) });
        }
    }
    items
}

/// Pictures below a folder, sorted; those in it before those in the folders in it. Links to folders are not followed: they may lead
/// in a circle.
fn below(folder: &Path, items: &mut Vec<Item>, fault: &mut dyn FnMut(String)) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let listed = fs::read_dir(folder).and_then(|entries| {
        for entry in entries {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
        Ok(())
    });
    if let Err(error) = listed {
        fault(format!("{}: {error}", folder.display()));
    }
    files.sort();
    folders.sort();
    let pictures = files.into_iter().filter(|path| is_picture(path));
    items.extend(
        pictures.map(|path| Item { name: path.to_string_lossy().into_owned(), source: Source::File(path) }),
    );
    folders.iter().for_each(|folder| below(folder, items, fault));
}

/// Whether a file's name ends as those of pictures do.
fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// All of standard input, or as much of it as is too much.
fn stdin(limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take((limit as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_listed_in_order_with_what_is_below() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("b/c")).expect("made");
        for name in ["z.png", "a.JPEG", "notes.txt", "b/x.gif", "b/c/y.tiff", "b/none"] {
            fs::write(at(name), "").expect("written");
        }
        let mut faults = Vec::new();
        let paths = [at("b/none"), folder.path().to_owned(), at("missing.jpg")];
        let items = list(&paths, &Limits::default(), &mut |fault| faults.push(fault));
        let names: Vec<_> = items.iter().map(|item| Path::new(&item.name)).collect();
        let expected = ["b/none", "a.JPEG", "z.png", "b/x.gif", "b/c/y.tiff", "missing.jpg"].map(at);
        assert_eq!(names, expected.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        assert_eq!(faults, Vec::<String>::new());
        fs::create_dir(at("empty")).expect("made");
        let items = list(&[at("empty")], &Limits::default(), &mut |fault| faults.push(fault));
        assert!(items.is_empty() && faults.len() == 1, "{faults:?}");
    }
}
