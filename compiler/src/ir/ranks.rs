//! A training that several processes share (data parallelism): each has images of its own, all have the same weights.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::types::DType;

/// What a training step does with other ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranks {
    /// Processes, 2 or more.
    pub count: usize,
    /// Whether batch normalisation takes its statistics from the images of all ranks.
    pub sync_bn: bool,
    /// What gradients are sent as: `f32` or bf16. They are summed in `f32`.
    pub wire: DType,
}

/// `2 ranks, sync bn, bf16 gradients`
impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ranks { count, sync_bn, wire } = self;
        write!(f, "{count} ranks")?;
        if *sync_bn {
            write!(f, ", sync bn")?;
        }
        if wire.is_narrow() { write!(f, ", {wire} gradients") } else { Ok(()) }
    }
}
