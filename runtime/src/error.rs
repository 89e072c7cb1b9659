//! Errors of the runtime: each says what failed, where, and how to go on.

use std::path::PathBuf;

/// Result of the runtime's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while running or training.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A device or its kernels failed.
    #[error("{0}")]
    Device(String),
}
