//! Errors of the runtime: each says what failed, where, and how to go on.

use std::fmt;
use std::path::PathBuf;

use resnetc_compiler::ir::types::Shape;

/// Result of the runtime's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<resnetc_kernels::error::Error> for Error {
    fn from(error: resnetc_kernels::error::Error) -> Self {
        Error::Device(error.0)
    }
}

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
    /// Another process of the same training has gone, or does not answer.
    #[error("{0}")]
    Ranks(String),
    /// The engines that a checkpoint pins are not to be had.
    #[error("{0}")]
    Engines(String),
    /// CUDA cannot be used.
    #[error("{0}")]
    NoCuda(Box<NoCuda>),
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

/// Why CUDA cannot be used: what was looked for, where, what is there instead, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCuda {
    /// The build has none.
    NotBuilt,
    /// A library is in none of the places.
    Missing {
        /// `cuDNN`
        library: &'static str,
        /// `libcudnn.so.9`
        file: String,
        /// Where it was looked for, a line each.
        places: Vec<String>,
        /// Files of other versions of it that lie there.
        others: Vec<PathBuf>,
        /// How to get it.
        advice: String,
    },
    /// A library is there and cannot be loaded, or is not whole.
    Broken {
        /// `cuDNN`
        library: &'static str,
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// A library's version is none that this build can use.
    Version {
        /// `driver`
        library: &'static str,
        /// Its file.
        path: PathBuf,
        /// Its version: `CUDA 12.8`.
        found: String,
        /// What this build needs: `CUDA 13.0`.
        needed: String,
        /// How to get it.
        advice: String,
    },
    /// Calls by name would reach another file of a library than the one that was found.
    Shadowed {
        /// `cuBLAS`
        library: &'static str,
        /// What was found.
        path: PathBuf,
        /// What the loader has by that name.
        other: PathBuf,
    },
    /// The driver is there, and has no GPU for this process.
    NoGpu {
        /// The driver's library.
        driver: PathBuf,
        /// What the driver says.
        reason: String,
    },
    /// There are GPUs, and none of that number.
    NoSuchGpu {
        /// The number.
        ordinal: usize,
        /// Names of those that there are.
        gpus: Vec<String>,
    },
}

impl fmt::Display for NoCuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCuda::NotBuilt => f.write_str("this build has no CUDA: build with `--features cuda`"),
            NoCuda::Missing { library, file, places, others, advice } => {
                writeln!(f, "CUDA cannot be used: no {library} ({file}) in")?;
                places.iter().try_for_each(|place| writeln!(f, "  {place}"))?;
                for other in others {
                    writeln!(f, "There is {}, which is of another version.", other.display())?;
                }
                f.write_str(advice)
            }
            NoCuda::Broken { library, path, reason, advice } => {
                write!(f, "CUDA cannot be used: the {library} in {}: {reason}\n{advice}", path.display())
            }
            NoCuda::Version { library, path, found, needed, advice } => {
                let path = path.display();
                write!(
                    f,
                    "CUDA cannot be used: the {library} in {path} is of {found}, this build needs {needed}\n{advice}"
                )
            }
            NoCuda::Shadowed { library, path, other } => {
                let (path, other) = (path.display(), other.display());
                writeln!(
                    f,
                    "CUDA cannot be used: {library} was found in {path}, but the loader takes {other} for it"
                )?;
                write!(
                    f,
                    "Take {other} off the loader's path (LD_LIBRARY_PATH, /etc/ld.so.conf), or put the other's folder on it."
                )
            }
            NoCuda::NoGpu { driver, reason } => {
                writeln!(f, "CUDA cannot be used: the driver ({}) has no GPU: {reason}", driver.display())?;
                f.write_str("`nvidia-smi` shows what it has; CUDA_VISIBLE_DEVICES may hide GPUs, a container must be given them.")
            }
            NoCuda::NoSuchGpu { ordinal, gpus } => {
                write!(f, "there is no GPU {ordinal}: ")?;
                let line = |(number, name): (usize, &String)| format!("cuda:{number} is {name}");
                f.write_str(&gpus.iter().enumerate().map(line).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl NoCuda {
    /// The first line alone.
    pub fn brief(&self) -> String {
        match self {
            NoCuda::Missing { library, file, .. } => format!("no {library} ({file})"),
            other => {
                let text = other.to_string();
                let line = text.lines().next().unwrap_or_default();
                line.trim_start_matches("CUDA cannot be used: ").to_owned()
            }
        }
    }
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
