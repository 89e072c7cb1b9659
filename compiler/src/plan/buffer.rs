//! Where tensors lie.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::ir::ranks::part_start;
use crate::ir::types::{DType, Layout, Shape};

/// Part of memory that a buffer lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Inputs, feature maps, their gradients, outputs: reused within a run.
    Arena,
    /// Parameters.
    Params,
    /// Gradients of the parameters, at the parameters' offsets.
    Grads,
    /// A tensor of the optimizer's state, by its number in [`Plan::optimizer`](super::Plan::optimizer), at the parameters'
    /// offsets.
    Optimizer(u8),
    /// Running statistics, their averages, and the state of a scaled loss.
    State,
    /// What changes from step to step: see [`Controls`](super::Controls).
    Control,
}

/// Index of a [`Buffer`] in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BufferId(pub u32);

/// Channels of a wider map that a buffer is, instead of having memory of its own. Between the channels of one pixel and
/// those of the next lie the others of the wider map: the *gap*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The wider map, itself no slice.
    pub of: BufferId,
    /// Its first channel that is the buffer's.
    pub start: usize,
}

/// A tensor in planned memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// The value's name: a node's, with `:port` for further results.
    pub name: String,
    /// Logical sizes.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Order in memory.
    pub layout: Layout,
    /// Where it lies.
    pub region: Region,
    /// Byte offset in its region, a multiple of [`ALIGN`](super::ALIGN) but for slices.
    pub offset: usize,
    /// Size in bytes, without padding to the alignment.
    pub bytes: usize,
    /// Arena only: first and last step that touch it. Inputs live from 0, outputs to the last step. A map lives as long
    /// as any of its slices.
    pub live: Option<(usize, usize)>,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// Of a buffer that each rank has in another place: the bytes from `offset` on, a span of which each rank's buffer is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<usize>,
}

impl Buffer {
    /// Where it lies in its region on a rank.
    pub fn offset_on(&self, rank: usize) -> usize {
        self.offset + self.span.map_or(0, |span| part_start(rank, self.bytes, span))
    }

    /// Bytes of its region that it may touch, whichever the rank; of a slice those of its own first pixel.
    pub fn extent(&self) -> Range<usize> {
        self.offset..self.offset.saturating_add(self.span.unwrap_or(self.bytes))
    }
}

/// A span of the trained parameters whose state is cut over the ranks. All numbers are bytes, and multiples of the plan's alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Where the span begins in [`Region::Params`].
    pub offset: usize,
    /// Length of the span.
    pub span: usize,
    /// Length of each rank's part. Where parts do not fill the span, the last ones overlap: what lies in two of them is updated by both
    /// ranks, with the same bits.
    pub bytes: usize,
    /// Where the part's state begins in each sharded [`Region::Optimizer`].
    pub state: usize,
}

impl Shard {
    /// A span in equal parts for so many ranks; its state begins at `state`.
    pub(crate) fn cut(span: Range<usize>, ranks: usize, to: usize, state: usize) -> Self {
        let bytes = span.len().div_ceil(ranks).next_multiple_of(to).min(span.len());
        Shard { offset: span.start, span: span.len(), bytes, state }
    }

    /// The parameters of a rank's part: bytes of [`Region::Params`].
    pub fn part(&self, rank: usize) -> Range<usize> {
        let start = self.offset + part_start(rank, self.bytes, self.span);
        start..start + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_their_span_and_stay_inside() {
        for (span, ranks) in [(64, 2), (128, 2), (192, 2), (640, 4), (64, 4), (6400, 3), (1 << 20, 7)] {
            let shard = Shard::cut(256..256 + span, ranks, 64, 0);
            let mut end = 256;
            for rank in 0..ranks {
                let part = shard.part(rank);
                assert!(part.start <= end && part.end <= 256 + span, "{shard:?}, rank {rank}: {part:?}");
                assert!(part.start.is_multiple_of(64) && part.len() == shard.bytes);
                end = part.end;
            }
            assert_eq!(end, 256 + span, "{shard:?}");
            assert!(shard.bytes < span.div_ceil(ranks) + 64, "{shard:?}");
        }
    }
}
