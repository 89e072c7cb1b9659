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
