//! The optimizer's state in parts, one for each rank: stage 1 of ZeRO (Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward
//! Training Trillion Parameter Models").
//!
//! The trained parameters are cut into spans, and each span into as many parts as there are ranks. A rank has the state of its own part of
//! each span, updates that part, and all ranks get what comes of it. All parts of a span are of one length, so one plan serves all ranks;
//! which part is the rank's own, a device knows.

use std::ops::Range;

use super::{Buffer, GRADIENT_SUM, Plan, Region, Shard};

/// A piece of a tensor of state that a rank has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the tensor.
    pub range: Range<usize>,
    /// Where they lie in the rank's region.
    pub offset: usize,
}

impl Plan {
    /// Whether each rank has a part alone of the optimizer's tensor of that number. A sum of gradients is the rank's own, and whole.
    pub fn is_sharded(&self, tensor: u8) -> bool {
        let name = self.optimizer.get(usize::from(tensor));
        !self.shards.is_empty() && name.is_some_and(|name| name != GRADIENT_SUM)
    }

    /// Bytes of a sharded tensor of the optimizer on each rank.
    pub(super) fn sharded_bytes(&self) -> usize {
        self.shards.last().map_or(0, |last| last.state.saturating_add(last.bytes))
    }

    /// What a rank has of a parameter's tensor of state, number `tensor` of the optimizer's; all of it where that is not sharded.
    pub fn pieces(&self, param: &Buffer, tensor: u8, rank: usize) -> Vec<Piece> {
        if !self.is_sharded(tensor) {
            return vec![Piece { range: 0..param.bytes, offset: param.offset }];
        }
        let end = param.offset + param.bytes;
        let pieces = self.shards.iter().filter_map(|shard| {
            let part = shard.part(rank);
            let (from, to) = (part.start.max(param.offset), part.end.min(end));
            let range = from.checked_sub(param.offset)?..to.saturating_sub(param.offset);
            (from < to).then(|| Piece { range, offset: shard.state + from - part.start })
        });
        pieces.collect()
    }

    /// That spans lie in their region one behind the other and parts in theirs, cover their spans, and are aligned.
    pub(super) fn check_shards(&self, faults: &mut Vec<String>) {
        let ranks = self.ranks.map_or(1, |ranks| ranks.count);
        let (mut end, mut state) = (0, 0);
        for (index, shard) in self.shards.iter().enumerate() {
            let Shard { offset, span, bytes, state: begins } = *shard;
            let aligned =
                [offset, span, bytes, begins].iter().all(|number| number.is_multiple_of(self.align));
            let inside = offset >= end && offset.saturating_add(span) <= self.region_bytes(Region::Grads);
            let covered = bytes <= span && bytes.saturating_mul(ranks) >= span;
            if !(aligned && inside && covered && begins == state) {
                faults.push(format!(
                    "shard {index}: {bytes} bytes on each of {ranks} ranks are no parts of the {span} bytes at {offset}"
                ));
            }
            (end, state) = (offset.saturating_add(span), begins.saturating_add(bytes));
        }
    }
}
