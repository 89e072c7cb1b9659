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
    /// Whether each rank keeps a part of the optimizer's state alone, and updates the parameters that it belongs to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shard_optimizer: bool,
}

/// Where a rank's part of a span begins. All parts are of one length, which together cover the span: so the last ones overlap where
/// they would reach beyond its end.
///
/// # Panics
/// Where a part is longer than the span.
pub fn part_start(rank: usize, part: usize, span: usize) -> usize {
    (rank * part).min(span - part)
}

/// `2 ranks, sync bn, sharded optimizer, bf16 gradients`
impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ranks { count, sync_bn, wire, shard_optimizer } = self;
        write!(f, "{count} ranks")?;
        if *sync_bn {
            write!(f, ", sync bn")?;
        }
        if *shard_optimizer {
            write!(f, ", sharded optimizer")?;
        }
        if wire.is_narrow() { write!(f, ", {wire} gradients") } else { Ok(()) }
    }
}
