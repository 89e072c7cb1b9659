//! What stops a kernel before it runs: no memory, no threads, no such instructions.

/// Result of what needs memory, threads or instructions of the machine.
pub type Result<T> = std::result::Result<T, Error>;

/// What the machine refuses, in words for people. Kernels themselves do not fail: their operands are checked when a plan is loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);
