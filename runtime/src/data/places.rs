//! Where data sets lie on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where data sets are looked for and kept.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that a user named. It is never made: its name may be mistyped.
    pub data_dir: Option<PathBuf>,
    /// Where downloads go, and are found again, when nobody named a folder. It is made where it is missing.
    pub cache: Option<PathBuf>,
    /// Whether a missing data set may be downloaded.
    pub download: bool,
}

impl Places {
    /// The folder that data sets are read from. The cache may not be there yet.
    pub(super) fn folder(&self) -> Result<&Path> {
        let Some(named) = &self.data_dir else {
            let text = "no folder to keep data sets in: give --data-dir or set RESNETC_DATA";
            return self.cache.as_deref().ok_or_else(|| Error::Data(text.to_owned()));
        };
        let wrong = match fs::metadata(named) {
            Ok(found) if found.is_dir() => return Ok(named),
            Ok(_) => "is no folder",
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "does not exist",
            Err(e) => return Err(Error::io(named)(e)),
        };
        Err(Error::Data(format!(
            "the folder of data sets, {}, {wrong}: correct --data-dir or $RESNETC_DATA, make the folder, or leave both out",
            named.display()
        )))
    }

    /// Whether the folder is one that a user named: what lies there is the user's own.
    pub(super) fn is_named(&self) -> bool {
        self.data_dir.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_named_must_be_there() {
        let parent = tempfile::tempdir().expect("temp folder");
        let named = parent.path().join("dta");
        let places = Places { data_dir: Some(named.clone()), ..Places::default() };
        let missing = places.folder().expect_err("mistyped").to_string();
        assert!(missing.contains("dta, does not exist: correct --data-dir"), "{missing}");
        assert!(!named.exists(), "it is not made");
        fs::write(&named, "").expect("writable");
        let file = places.folder().expect_err("a file").to_string();
        assert!(file.contains("dta, is no folder"), "{file}");
        fs::remove_file(&named).and_then(|()| fs::create_dir(&named)).expect("writable");
        assert_eq!(places.folder().expect("it is there"), named);
    }

    #[test]
    fn a_cache_need_not_be_there_yet() {
        let cache = PathBuf::from("/nowhere/cache");
        let places = Places { cache: Some(cache.clone()), ..Places::default() };
        assert_eq!((places.folder().expect("to be made"), places.is_named()), (cache.as_path(), false));
        assert!(Places::default().folder().is_err());
    }
}
