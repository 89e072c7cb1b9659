//! What of CUDA a machine has, as data.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::Serialize;

/// Driver, libraries and GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The driver's release, where the system tells: `580.95.05`.
    pub driver: Option<String>,
    /// The newest CUDA that the driver runs: `13.0`.
    pub cuda: String,
    /// All that are loaded, the driver first.
    pub libraries: Vec<Library>,
    /// Those that the process may use, which `CUDA_VISIBLE_DEVICES` decides.
    pub gpus: Vec<Gpu>,
}

/// A library that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    /// `cuDNN`
    pub name: &'static str,
    /// `9.13.0`
    pub version: String,
    /// Its file.
    pub path: PathBuf,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// The number that `cuda:N` calls it by.
    pub ordinal: usize,
    /// As its maker calls it.
    pub name: String,
    /// `GPU-` and 32 hexadecimal digits in groups, as `nvidia-smi -L` shows it.
    pub uuid: String,
    /// `9.0`
    pub compute_capability: String,
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of memory.
    pub memory: usize,
}
