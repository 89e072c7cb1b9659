//! What can go wrong between a spec and a result.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_compiler::diagnostic::{Diagnostic, render};
use resnetc_compiler::source::SourceMap;

/// Result of the library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Columns that diagnostics are wrapped at, where nobody says how wide the place is that they are shown in.
pub const WIDTH: usize = 100;

/// Why a network could not be loaded, compiled, trained or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec is wrong; all of its mistakes.
    #[error("{0}")]
    Spec(Faults),
    /// There is neither a file nor a compiled-in network of that name.
    #[error("`{name}` is neither a file nor a compiled-in network{near}")]
    UnknownSpec {
        /// What was asked for.
        name: String,
        /// Names that it is near to, as the end of a sentence: `; near: resnet20`. Empty where there are none.
        near: String,
    },
    /// There is neither a file nor a compiled-in table of that name.
    #[error("`{name}` is neither a file nor a compiled-in table{near}")]
    UnknownTable {
        /// What was asked for.
        name: String,
        /// Names that it is near to, as of [`Error::UnknownSpec`].
        near: String,
    },
    /// The file of a spec or a table cannot be read.
    #[error("cannot read {name}: {source}")]
    UnreadableSpec {
        /// The path.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file of tensors cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Results of nodes were asked for that are not there after a run; a line each.
    #[error("{}", .0.join("\n"))]
    NotKept(Vec<String>),
    /// The network cannot be written as another program keeps it.
    #[error("{0}")]
    Hub(String),
    /// The network cannot be written as ONNX.
    #[error(transparent)]
    Onnx(#[from] resnetc_onnx::Error),
    /// No published weights are known under a name: which ones are.
    #[error("{0}")]
    NotPublished(String),
    /// Published weights are not here and cannot be fetched: what was asked for, and where to put it by hand.
    #[error("{0}")]
    Download(String),
    /// No batch fits into the memory that there is.
    #[error("{network}: a training step of one image takes {} MiB, and {} MiB may be taken: smaller images or fewer filters take less", .needed.div_ceil(1 << 20), .memory >> 20)]
    TooLittleMemory {
        /// The network.
        network: String,
        /// Bytes of a step of one image.
        needed: usize,
        /// Bytes that there are for it.
        memory: usize,
    },
    /// A file of weights, or what is in it.
    #[error(transparent)]
    Weights(#[from] resnetc_weights::Error),
    /// The weights that a training is to learn from cannot be had.
    #[error("the weights of the teacher `{teacher}`, by `train.distill`: {error}")]
    Teacher {
        /// The network that is learned from.
        teacher: String,
        /// Why.
        error: Box<Error>,
    },
    /// The device, the data, a checkpoint: everything behind the compiler.
    #[error(transparent)]
    Runtime(#[from] resnetc_runtime::error::Error),
}

impl Error {
    pub(crate) fn tensors(path: &Path, reason: impl ToString) -> Self {
        Error::Tensors { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// The mistakes of one spec, with the texts that they are in.
#[derive(Debug, Clone)]
pub struct Faults {
    diagnostics: Vec<Diagnostic>,
    sources: Arc<SourceMap>,
}

impl Faults {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>, sources: Arc<SourceMap>) -> Self {
        Faults { diagnostics, sources }
    }

    /// One by one.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The spec's texts, which the diagnostics' spans point into.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Leaves those out that `keep` does not want; it is shown each alone.
    pub fn retain(&mut self, mut keep: impl FnMut(&Faults) -> bool) {
        let sources = Arc::clone(&self.sources);
        self.diagnostics.retain(|one| keep(&Faults::new(vec![one.clone()], Arc::clone(&sources))));
    }

    /// All as text, source lines underlined, wrapped at `width` columns; `color` adds escape sequences for terminals.
    pub fn render(&self, color: bool, width: usize) -> String {
        render(&self.diagnostics, &self.sources, color, width)
    }
}

/// Without colours.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false, WIDTH).trim_end())
    }
}
