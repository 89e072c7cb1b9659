//! What can be wrong with a file of weights: each error says what, where, and how to go on.

use std::path::PathBuf;

use crate::misfit::Misfit;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why no weights come from a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not give the file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no file of tensors, or a damaged or a hostile one.
    #[error("{}: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// The tensors are not those of the network.
    #[error("{}: {misfit}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// All that does not fit.
        misfit: Box<Misfit>,
    },
    /// The last layer is for another number of classes.
    #[error(
        "{}: its weights tell {found} classes apart, network `{network}` {wanted}: `--head new` starts the last linear layer afresh, \
         `--set classes={found}` makes the network theirs",
        path.display()
    )]
    Classes {
        /// The file.
        path: PathBuf,
        /// The network.
        network: String,
        /// Classes of the file's last layer.
        found: usize,
        /// Classes of the network.
        wanted: usize,
    },
    /// There is no dialect of that name.
    #[error("there is no dialect `{name}`; known: auto, {known}")]
    UnknownDialect {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// A dialect has no names for the network.
    #[error(
        "the dialect {dialect} has no name for `{tensor}` of network `{network}`, nor for {others} more of its tensors"
    )]
    Unnamed {
        /// The dialect.
        dialect: String,
        /// The network.
        network: String,
        /// The first tensor without a name.
        tensor: String,
        /// How many more.
        others: usize,
    },
}

/// What is wrong with a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No format that is read.
    #[error("it is neither safetensors nor a file of PyTorch: {0}")]
    Unknown(String),
    /// The file ends too early.
    #[error("it ends within {0}: it is cut off, or damaged")]
    Truncated(&'static str),
    /// A safetensors file whose header is wrong.
    #[error("no safetensors file that can be read: {0}")]
    Safetensors(String),
    /// The index of a safetensors file in several parts.
    #[error("no index of safetensors files that can be read: {0}")]
    Index(String),
    /// A zip archive that PyTorch did not write, or a damaged one.
    #[error("no zip archive as PyTorch writes it: {0}")]
    Zip(String),
    /// A pickle that is damaged, or does what weights do not need.
    #[error("its pickle at byte {at}: {reason}")]
    Pickle {
        /// Of the pickle.
        at: usize,
        /// What.
        reason: String,
    },
    /// An entry of a pickled dictionary that is none of that kind.
    #[error("its entry `{key}` {reason}")]
    Entry {
        /// Its name.
        key: String,
        /// Why.
        reason: String,
    },
    /// A tensor that cannot be.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file that holds other things.
    #[error("there are no tensors by name in it: {0}")]
    NoTensors(String),
}

impl Fault {
    /// Of that tensor.
    pub(crate) fn tensor(name: &str, reason: impl Into<String>) -> Self {
        Fault::Tensor { name: shortened(name), reason: reason.into() }
    }
}

/// A name as messages have it: a file's may be of any length.
pub(crate) fn shortened(name: &str) -> String {
    const MOST: usize = 200;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}
