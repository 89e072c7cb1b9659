//! Memory for what ranks send each other of their gradients. It lies at the beginning of the scratch memory, behind convolutions' sums: a
//! bucket's sum goes on beside the steps that follow.

use std::collections::BTreeMap;

use resnetc_compiler::plan::{Kernel, Plan};

use super::scratch::Scratch;
use crate::cuda::collectives::received_bytes;
use crate::cuda::launch::Place;

/// The buckets of a plan.
pub(super) struct Buckets {
    /// Ranks that share the training.
    pub ranks: usize,
    /// Where gradients lie that are sent in a narrow type, by the bucket's number.
    wires: BTreeMap<usize, Place>,
    /// What the others send of the chunk that this rank sums, for one bucket after the other.
    received: Place,
}

impl Buckets {
    /// Of a plan, in memory that is theirs alone.
    pub fn of(plan: &Plan, memory: &mut Scratch) -> Self {
        let ranks = plan.ranks.map_or(1, |ranks| ranks.count);
        let kernels = plan.steps.iter().filter_map(|step| match &step.kernel {
            Kernel::AllReduce(kernel) => Some(kernel),
            _ => None,
        });
        let (mut wires, mut most) = (BTreeMap::new(), 0);
        for kernel in kernels.filter(|_| ranks > 1) {
            if kernel.wire.is_narrow() {
                wires.insert(kernel.bucket, memory.take(kernel.len * kernel.wire.size()));
            }
            most = most.max(received_bytes(kernel.len, kernel.wire, ranks));
        }
        Buckets { ranks, wires, received: memory.take(most) }
    }

    /// Where a bucket's gradients are sent from, where that is not where they are, and where those of the others go.
    pub fn memory(&self, bucket: usize) -> (Option<Place>, Place) {
        (self.wires.get(&bucket).copied(), self.received)
    }
}
