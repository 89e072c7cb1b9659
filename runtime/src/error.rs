//! Errors of the runtime: each says what failed, where, and how to go on.

use std::path::PathBuf;

use resnetc_compiler::ir::types::Shape;

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
    /// A data set is missing, damaged, or does not fit the network.
    #[error("{0}")]
    Data(String),
    /// An archive could not be fetched.
    #[error("cannot fetch {url}: {reason}")]
    Fetch {
        /// Its address.
        url: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A checkpoint cannot be used.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss is not a number any more.
    #[error(
        "the loss is {loss} at step {step} of epoch {epoch}; {}",
        match last_good {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "no checkpoint was written before".to_string(),
        }
    )]
    Diverged {
        /// Not finite.
        loss: f32,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// Where training can be taken up again, with a lower rate.
        last_good: Option<PathBuf>,
    },
    /// A device or its kernels failed.
    #[error("{0}")]
    Device(String),
    /// A checkpoint lacks a tensor.
    #[error("the checkpoint has no tensor `{name}`, which the network needs")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A checkpoint has whole numbers where the network needs floats.
    #[error("tensor `{name}` is of type {found} in the checkpoint, the network needs floats")]
    NotFloats {
        /// Its name.
        name: String,
        /// Its type in the file: `I64`.
        found: String,
    },
    /// A checkpoint's tensor does not fit.
    #[error("tensor `{name}` is {expected} in the network, but {found} in the checkpoint")]
    WrongShape {
        /// Its name.
        name: String,
        /// In the network.
        expected: Shape,
        /// In the checkpoint.
        found: Shape,
    },
    /// A checkpoint has more tensors than the network.
    #[error("network `{network}` has no tensor `{name}`; {count} of the checkpoint's tensors are not in it")]
    ExtraTensors {
        /// The first of them.
        name: String,
        /// How many there are.
        count: usize,
        /// The network.
        network: String,
    },
    /// A file is no checkpoint.
    #[error("{}: no safetensors file that can be read: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two things that should fit together do not: plans, buffers, values.
    #[error("{0}")]
    Incompatible(String),
}

impl Error {
    /// An [`Error::Io`] about that path, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
