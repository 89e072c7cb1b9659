//! Where data sets lie on this machine.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where data sets are looked for and kept.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that a user named.
    pub data_dir: Option<PathBuf>,
    /// Where downloads go, and are found again, when nobody named a folder.
    pub cache: Option<PathBuf>,
    /// Whether a missing data set may be downloaded.
    pub download: bool,
}

impl Places {
    /// The folder that data sets are read from.
    pub(super) fn folder(&self) -> Result<&Path> {
        self.data_dir.as_deref().or(self.cache.as_deref()).ok_or_else(|| {
            Error::Data("no folder to keep data sets in: give --data-dir or set RESNETC_DATA".to_string())
        })
    }
}
