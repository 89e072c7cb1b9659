//! Why a picture cannot be taken.

/// Result of the crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a picture cannot be decoded or prepared. Whoever knows the file's name says it before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are of no format that is known.
    #[error("not a picture in a known format: {FORMATS}")]
    Unknown,
    /// The bytes cannot be decoded.
    #[error("damaged or unsupported {format}: {reason}")]
    Damaged {
        /// What it was taken for: `JPEG`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// It would take more memory than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// The network's input is none that pictures can become.
    #[error("{0}")]
    Input(String),
}

/// Names of the formats, for messages.
pub const FORMATS: &str = "JPEG, PNG, WebP, GIF, TIFF, BMP";
