//! The runs under a folder.

use std::path::{Path, PathBuf};

use resnetc_runtime::train::{BEST, LAST, LOG, RUN};

use super::folder::Run;

/// Folders within folders that are looked into: a sweep's runs lie two below `out`.
const DEPTH: usize = 4;

/// A folder that a training left something in, and that is no whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// All runs in a folder and the folders within it, in the order of their paths. Links are not followed.
///
/// # Errors
/// Where the folder itself cannot be read.
pub fn find(folder: &Path) -> std::io::Result<Vec<Result<Run, Broken>>> {
    let mut found = Vec::new();
    look(folder, DEPTH, &mut found)?;
    Ok(found)
}

fn look(folder: &Path, depth: usize, found: &mut Vec<Result<Run, Broken>>) -> std::io::Result<()> {
    let mut inner = Vec::new();
    let mut is_run = false;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        is_run |= [RUN, LOG, LAST, BEST].iter().any(|known| name == *known);
        if entry.file_type()?.is_dir() {
            inner.push(entry.path());
        }
    }
    if is_run {
        found.push(Run::read(folder).map_err(|reason| Broken { folder: folder.to_owned(), reason }));
    }
    inner.sort();
    for path in inner.into_iter().filter(|_| depth > 0) {
        if let Err(error) = look(&path, depth - 1, found) {
            found.push(Err(Broken { folder: path, reason: error.to_string() }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_told_and_the_rest_is_found() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        for (folder, file, text) in [("a/b", LOG, ""), ("c", RUN, "{"), ("none", "notes.txt", "")] {
            std::fs::create_dir_all(at(folder)).expect("made");
            std::fs::write(at(folder).join(file), text).expect("written");
        }
        let found: Vec<Broken> =
            find(root.path()).expect("read").into_iter().filter_map(Result::err).collect();
        let expected = [("a/b", "there is no run.json"), ("c", "run.json cannot be read")];
        let expected = expected.map(|(name, reason)| Broken { folder: at(name), reason: reason.to_owned() });
        assert_eq!(found, expected);
        assert!(find(&at("missing")).is_err());
    }
}
