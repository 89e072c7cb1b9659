//! Errors of the runtime: each says what failed, where, and how to go on.

use std::fmt;
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
    /// A folder holds a training that a new one would spoil.
    #[error("{} holds a training", folder.display())]
    HoldsTraining {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder has no checkpoint to go on from.
    #[error("nothing to resume: there is no checkpoint in {}", folder.display())]
    NothingToResume {
        /// The folder.
        folder: PathBuf,
    },
    /// Another training writes to the folder.
    #[error("another training has {}: {by}", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who has it.
        by: String,
    },
    /// The training came to numbers that are not finite.
    #[error("{0}")]
    Diverged(Box<Divergence>),
    /// A training could not go on, but what it had done is saved.
    #[error("{error}\nThe training up to here is saved in {}: it can be resumed.", checkpoint.display())]
    Saved {
        /// Why it could not.
        error: Box<Error>,
        /// Where it can go on from.
        checkpoint: PathBuf,
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

/// Where and how a training came to numbers that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// What is not finite.
    pub what: NotFinite,
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Step within the epoch, counted from 1.
    pub step: usize,
    /// Learning rate of that step.
    pub lr: f32,
    /// Whether the training has a warm-up.
    pub warmup: bool,
    /// The last checkpoint, whose numbers are all finite.
    pub last_good: Option<PathBuf>,
}

/// What is not finite.
#[derive(Debug, Clone, PartialEq)]
pub enum NotFinite {
    /// The loss of a step.
    Loss(f32),
    /// Parameters, running statistics or the optimizer's state.
    Tensor {
        /// The first of them in the network's order: `stem.bn1.running_var`.
        name: String,
        /// The first of its elements that is not finite.
        value: f32,
        /// How many tensors are not finite.
        tensors: usize,
        /// Of how many.
        of: usize,
    },
    /// The mean loss of the test images.
    Evaluation(f64),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { what, epoch, step, lr, warmup, last_good } = self;
        match what {
            NotFinite::Loss(loss) => write!(f, "the loss is {loss} at step {step} of epoch {epoch}")?,
            NotFinite::Tensor { name, value, tensors, of } => {
                write!(f, "`{name}` is {value} after step {step} of epoch {epoch}")?;
                write!(f, " ({tensors} of {of} tensors are not finite)")?;
            }
            NotFinite::Evaluation(loss) => {
                write!(f, "the loss of the test images is {loss} after epoch {epoch}")?
            }
        }
        match last_good {
            Some(path) => write!(f, "; the last good checkpoint is {}", path.display())?,
            None => f.write_str("; no checkpoint was written before")?,
        }
        let warmup = if *warmup { "lengthen `train.warmup`" } else { "add `train.warmup`" };
        write!(f, "\nThe learning rate was {lr}: lower `train.optimizer.lr`, or {warmup}.")
    }
}

impl Error {
    /// An [`Error::Io`] about that path, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
