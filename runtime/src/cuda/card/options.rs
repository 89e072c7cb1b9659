//! How a GPU is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::cuda::cudnn::choose;
use crate::engines::Engines;

/// What a GPU is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its number, as the driver counts those that are visible.
    pub ordinal: usize,
    /// Time for measuring engines of convolutions, in all.
    pub measuring: Duration,
    /// Folder where plans of convolutions are kept; `None` to make them anew each time.
    pub plans: Option<PathBuf>,
    /// Engines that convolutions have to be computed by, where these have to be deterministic.
    pub engines: Engines,
}

impl Default for Options {
    fn default() -> Self {
        Options { ordinal: 0, measuring: choose::DEFAULT, plans: None, engines: Engines::default() }
    }
}
