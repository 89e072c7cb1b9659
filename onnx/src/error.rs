//! Why a network cannot be written as ONNX.

use crate::version;

/// Why a network cannot be written as ONNX.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The set of operators is none that models are written for.
    #[error("--opset {asked}: models are written for {} to {}", version::FIRST, version::LAST)]
    Opset {
        /// What was asked for.
        asked: i64,
    },
    /// A model file cannot be that large.
    #[error(
        "the weights have {bytes} bytes, an ONNX file has {most} at most: a larger network cannot be written as one file"
    )]
    TooLarge {
        /// Bytes of all weights.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// An operator has no meaning in a network for inference.
    #[error("`{node}` ({op}) belongs to training: only the network for inference can be written as ONNX")]
    NotInference {
        /// Its name.
        node: String,
        /// Its operator.
        op: String,
    },
    /// A tensor of the weights cannot be had.
    #[error("{0}")]
    Weights(String),
}
