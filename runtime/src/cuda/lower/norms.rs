//! Normalisations in training that the driver may compute at once, statistics and all.
//!
//! The statistics' step leaves its work to the step that applies them, which comes behind it and does both: so that its operands are there,
//! and its result's memory is free. Nobody in between may look at the statistics, then.
//!
//! Not where ranks share the training: the blocks of such an engine wait for each other, and would have to wait for the multiprocessors
//! that the kernels which send to other ranks hold, which wait for those ranks. Nor where a convolution has left sums, for what then is left to do reads
//! and writes the map once, as any way has to.

use std::collections::BTreeMap;

use resnetc_compiler::plan::kernel::{BnApply, BnStats};
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Step};

use crate::cuda::launch::Prepared;

/// Statistics and what applies them.
#[derive(Clone, Copy)]
pub(super) struct Pair<'p> {
    /// The statistics' step.
    pub statistics: (&'p Step, &'p BnStats),
    /// The step behind it.
    pub apply: (&'p Step, &'p BnApply),
}

/// Those of a plan.
#[derive(Default)]
pub(super) struct Norms<'p> {
    /// By the mean that one step leaves the other.
    of: BTreeMap<BufferId, Pair<'p>>,
    /// Prepared ones, whose first step is lowered.
    taken: BTreeMap<BufferId, Prepared>,
}

impl<'p> Norms<'p> {
    /// Of a plan of one rank.
    pub fn of(plan: &'p Plan, ranks: usize) -> Self {
        let mut norms = Norms::default();
        if ranks > 1 {
            return norms;
        }
        for (index, step) in plan.steps.iter().enumerate() {
            let Kernel::BnStats(kernel) = &step.kernel else { continue };
            // What is written in place is an input.
            let looked_at: Vec<BufferId> = step.inputs[1..].iter().chain(&step.outputs).copied().collect();
            let touches = |later: &&Step| later.buffers().any(|id| looked_at.contains(&id));
            let Some(behind) = plan.steps[index + 1..].iter().find(touches) else { continue };
            let Kernel::BnApply(apply) = &behind.kernel else { continue };
            let same = behind.inputs[..3] == [step.inputs[0], step.outputs[0], step.outputs[1]];
            // One row has no unbiased variance: the running one would become no number.
            if same && kernel.rows > 1 && fits(plan, behind) {
                let pair = Pair { statistics: (step, kernel), apply: (behind, apply) };
                norms.of.insert(step.outputs[0], pair);
            }
        }
        norms
    }

    /// The pair that a mean belongs to.
    pub fn wanted(&self, mean: BufferId) -> Option<Pair<'p>> {
        self.of.get(&mean).copied()
    }

    /// What computes all of a pair in its second step, if that is taken: others may apply the same statistics later.
    pub fn taken(&self, mean: BufferId, step: &Step) -> Option<Prepared> {
        let is_it = self.of.get(&mean).is_some_and(|pair| std::ptr::eq(pair.apply.0, step));
        self.taken.get(&mean).copied().filter(|_| is_it)
    }

    /// Takes down that a pair is computed at once.
    pub fn take(&mut self, mean: BufferId, prepared: Prepared) {
        self.taken.insert(mean, prepared);
    }
}

/// Whether the maps of a step are packed, of one type, and none of them in another's place.
fn fits(plan: &Plan, apply: &Step) -> bool {
    let (x, y, residual) = (apply.inputs[0], apply.outputs[0], apply.inputs.get(5).copied());
    let maps: Vec<BufferId> = [x, y].into_iter().chain(residual).collect();
    let like = |&id: &BufferId| plan.gap(id) == 0 && plan.buffer(id).dtype == plan.buffer(x).dtype;
    let apart = |&id: &BufferId| {
        let [a, b] = [plan.buffer(id), plan.buffer(y)];
        a.region != b.region || a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset
    };
    maps.iter().all(like) && [x].iter().chain(&residual).all(apart)
}
