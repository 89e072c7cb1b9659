//! Normalisations in training that the driver may compute at once: statistics with what applies them, and the two passes of the gradient.
//!
//! The first step of each leaves its work to the second one, which comes behind it and does both: so that its operands are there,
//! and its result's memory is free. Nobody in between may look at what the first one makes, then.
//!
//! Not where ranks share the training: the blocks of such an engine wait for each other, and would have to wait for the multiprocessors
//! that the kernels which send to other ranks hold, which wait for those ranks. Nor where a convolution has left sums, for what then is left to do reads
//! and writes the map once, as any way has to.

use std::collections::BTreeMap;

use resnetc_compiler::plan::kernel::{BnApply, BnBackwardApply, BnBackwardReduce, BnStats};
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Step};

use crate::cuda::launch::Prepared;

/// A step, and the one behind it that takes in what it makes.
#[derive(Clone, Copy)]
pub(super) struct Pair<'p, F, S> {
    /// The first.
    pub first: (&'p Step, &'p F),
    /// The second.
    pub second: (&'p Step, &'p S),
}

/// Statistics, and what applies them.
pub(super) type Forward<'p> = Pair<'p, BnStats, BnApply>;
/// The sums of a gradient, and the gradient of the map.
pub(super) type Backward<'p> = Pair<'p, BnBackwardReduce, BnBackwardApply>;

/// Those of a plan, by the first result of their first steps.
#[derive(Default)]
pub(super) struct Norms<'p> {
    forward: BTreeMap<BufferId, Forward<'p>>,
    backward: BTreeMap<BufferId, Backward<'p>>,
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
            let looked_at: Vec<BufferId> = match step.kernel {
                // What is written in place is an input.
                Kernel::BnStats(_) => step.inputs[1..].iter().chain(&step.outputs).copied().collect(),
                Kernel::BnBackwardReduce(_) => step.outputs.clone(),
                _ => continue,
            };
            let touches = |later: &&Step| later.buffers().any(|id| looked_at.contains(&id));
            let Some(behind) = plan.steps[index + 1..].iter().find(touches) else { continue };
            match (&step.kernel, &behind.kernel) {
                (Kernel::BnStats(first), Kernel::BnApply(second)) => {
                    let pair = Pair { first: (step, first), second: (behind, second) };
                    norms.forward.extend(is_forward(plan, &pair).then_some((step.outputs[0], pair)));
                }
                (Kernel::BnBackwardReduce(first), Kernel::BnBackwardApply(second)) => {
                    let pair = Pair { first: (step, first), second: (behind, second) };
                    norms.backward.extend(is_backward(plan, &pair).then_some((step.outputs[0], pair)));
                }
                _ => (),
            }
        }
        norms
    }

    /// The statistics that this mean is one of.
    pub fn forward(&self, mean: BufferId) -> Option<Forward<'p>> {
        self.forward.get(&mean).copied()
    }

    /// The sums that this gradient of a scale is one of.
    pub fn backward(&self, dscale: BufferId) -> Option<Backward<'p>> {
        self.backward.get(&dscale).copied()
    }

    /// What computes all of a pair in its second step, if that is taken: others may take in what its first one made later.
    pub fn taken(&self, made: BufferId, step: &Step) -> Option<Prepared> {
        let forward = self.forward.get(&made).map(|pair| pair.second.0);
        let second = forward.or_else(|| self.backward.get(&made).map(|pair| pair.second.0));
        let is_it = second.is_some_and(|second| std::ptr::eq(second, step));
        self.taken.get(&made).copied().filter(|_| is_it)
    }

    /// Takes down that a pair is computed at once.
    pub fn take(&mut self, made: BufferId, prepared: Prepared) {
        self.taken.insert(made, prepared);
    }
}

fn is_forward(plan: &Plan, pair: &Forward<'_>) -> bool {
    let Pair { first: (statistics, kernel), second: (apply, _) } = pair;
    let same = apply.inputs[..3] == [statistics.inputs[0], statistics.outputs[0], statistics.outputs[1]];
    let read: Vec<BufferId> =
        [Some(apply.inputs[0]), apply.inputs.get(5).copied()].into_iter().flatten().collect();
    // One row has no unbiased variance: the running one would become no number.
    same && kernel.rows > 1 && fits(plan, &read, apply.outputs[0])
}

/// The gradient of what was added is that of the result, which then has to lie there already.
fn is_backward(plan: &Plan, pair: &Backward<'_>) -> bool {
    let Pair { first: (reduce, sums), second: (apply, gradient) } = pair;
    let same = sums.epilogue == gradient.epilogue
        && apply.inputs[..4] == reduce.inputs[..4]
        && apply.inputs[5..7] == reduce.outputs[..];
    let dy = reduce.inputs[0];
    let is_there = apply.outputs.get(1).is_none_or(|&dresidual| {
        let [a, b] = [plan.buffer(dresidual), plan.buffer(dy)];
        (a.region, a.offset, a.dtype) == (b.region, b.offset, b.dtype)
    });
    same && is_there && fits(plan, &reduce.inputs[..2], apply.outputs[0])
}

/// Whether maps are packed, of one type, and what is written is in no other's place.
fn fits(plan: &Plan, read: &[BufferId], written: BufferId) -> bool {
    let to = plan.buffer(written);
    let like = |&id: &BufferId| plan.gap(id) == 0 && plan.buffer(id).dtype == to.dtype;
    let apart = |&id: &BufferId| {
        let from = plan.buffer(id);
        from.region != to.region
            || from.offset + from.bytes <= to.offset
            || to.offset + to.bytes <= from.offset
    };
    like(&written) && read.iter().all(like) && read.iter().all(apart)
}
