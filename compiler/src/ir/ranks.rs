//! A training that several processes share (data parallelism): each has images of its own, all have the same weights, or have them again
//! behind each so many updates.

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
    /// Updates from one synchronisation to the next: 1 sums gradients in each update; with more of them, each rank updates by its own
    /// gradients and the weights become the mean over ranks (local SGD; Stich 2019).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub sync_every: usize,
}

impl Ranks {
    /// Whether ranks update by their own gradients.
    pub fn is_local(&self) -> bool {
        self.sync_every > 1
    }
}

pub(crate) fn one() -> usize {
    1
}

pub(crate) fn is_one(count: &usize) -> bool {
    *count == 1
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
        let Ranks { count, sync_bn, wire, shard_optimizer, sync_every } = self;
        write!(f, "{count} ranks")?;
        if *sync_bn {
            write!(f, ", sync bn")?;
        }
        if *shard_optimizer {
            write!(f, ", sharded optimizer")?;
        }
        if self.is_local() {
            return write!(f, ", weights averaged every {sync_every} updates");
        }
        if wire.is_narrow() { write!(f, ", {wire} gradients") } else { Ok(()) }
    }
}
