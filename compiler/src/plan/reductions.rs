//! The sums of gradients over ranks, as they stand in a plan: what may overlap with what.

use super::{Kernel, Plan, Step};
use crate::ir::types::DType;

/// A bucket of gradients on its way to all ranks and back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reduction {
    /// Its number.
    pub bucket: usize,
    /// Bytes of its gradients in `f32`.
    pub bytes: usize,
    /// The step that begins it.
    pub begins: usize,
    /// The step that waits for it.
    pub awaited: usize,
    /// Steps that compute something in between.
    pub steps: usize,
    /// The share of all floating-point operations that they do.
    pub flops: f64,
}

impl Plan {
    /// Bytes that a rank sends in a run for what is summed over ranks, a part of each bucket to every other rank and the sum of its own
    /// part to all of them, and for what it updates alone.
    pub fn sent_bytes(&self) -> usize {
        let ranks = self.ranks.map_or(1, |ranks| ranks.count);
        let of = |step: &Step| match step.kernel {
            Kernel::AllReduce(sum) => 2 * (ranks - 1) * sum.len.div_ceil(ranks) * sum.wire.size(),
            Kernel::AllGather(span) => (ranks - 1) * span.part * DType::F32.size(),
            _ => 0,
        };
        self.steps.iter().map(of).sum()
    }

    /// The sums over ranks, in the order in which they begin; none where there is one rank.
    pub fn reductions(&self) -> Vec<Reduction> {
        let total: u64 = self.steps.iter().map(|step| step.kernel.flops()).sum();
        let computes = |step: &&Step| !step.kernel.is_of_optimizer();
        let mut found = Vec::new();
        for (begins, step) in self.steps.iter().enumerate() {
            let Kernel::AllReduce(begun) = step.kernel else { continue };
            let ends =
                |step: &Step| matches!(step.kernel, Kernel::AllReduceWait(w) if w.bucket == begun.bucket);
            let behind = &self.steps[begins + 1..];
            let between = &behind[..behind.iter().position(ends).unwrap_or(behind.len())];
            let beside: Vec<&Step> = between.iter().filter(computes).collect();
            let flops: u64 = beside.iter().map(|step| step.kernel.flops()).sum();
            found.push(Reduction {
                bucket: begun.bucket,
                bytes: begun.len * size_of::<f32>(),
                begins,
                awaited: begins + 1 + between.len(),
                steps: beside.len(),
                flops: flops as f64 / total.max(1) as f64,
            });
        }
        found
    }
}
