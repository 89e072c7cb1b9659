//! What several ranks add to a training step: the sum of their gradients, bucket by bucket, beside the rest of the backward pass.
//!
//! Gradients lie in their region as parameters do, in the order of the network; the backward pass finishes the last ones first. So a bucket
//! is a piece of the region, cut from the end on, and its sum begins behind the step that writes the last of its gradients
//! (as PyTorch's DistributedDataParallel does; Li et al. 2020). It is waited for by the first step that reads one of them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ir::ranks::Ranks;
use crate::ir::types::{DType, TensorType};
use crate::plan::kernel::{AllReduce, AllReduceWait};
use crate::plan::{Kernel, Plan, Region, Step};

/// Buckets that a network's gradients are cut into, about.
const BUCKETS: usize = 16;

/// The bytes at which a bucket is full, at least and at most: below, what a message costs is not its length; above, there is little left to overlap with.
const BUCKET_BYTES: [usize; 2] = [64 << 10, 4 << 20];

/// The bytes of a rank's part at which a bucket is full, at least: each rank sends one to every other. Fewer buckets than half as many
/// are not made for it.
const PART_BYTES: usize = 16 << 10;

/// The bytes of a bucket of so many, for so many ranks.
pub(super) fn bucket_bytes(of: usize, ranks: usize) -> usize {
    let parts = ranks.saturating_mul(PART_BYTES).min(of / (BUCKETS / 2));
    (of / BUCKETS).clamp(BUCKET_BYTES[0], BUCKET_BYTES[1]).max(parts)
}

/// A piece of the gradients' region.
struct Bucket {
    /// Bytes of the region.
    range: Range<usize>,
    /// The last step of the backward pass that touches one of them.
    ready: usize,
}

/// A step to be put before the one of that number.
type Placed = (usize, Step);

/// Adds the sums over ranks to a step that updates. With `accumulates` they are sums over batches before they are sums over ranks.
pub(super) fn add_reductions(plan: &mut Plan, ranks: Ranks, accumulates: bool) {
    let buckets = buckets(&gradients(plan), plan.steps.len(), ranks.count);
    let share = plan.share();
    let (mut begins, mut waits): (Vec<Placed>, Vec<Placed>) = (Vec::new(), Vec::new());
    for (bucket, Bucket { range, ready }) in buckets.iter().enumerate() {
        let len = range.len() / DType::F32.size();
        let name = format!("all_reduce{bucket}");
        let ty = TensorType::f32([len]);
        let grads = plan.add_buffer(format!("{name}.grads"), &ty, Region::Grads, range.start);
        let step = |kernel: Kernel, inputs| Step { name: name.clone(), kernel, inputs, outputs: Vec::new() };
        let kernel = AllReduce { len, bucket, wire: ranks.wire, weighted: !accumulates };
        let operands = [grads].into_iter().chain((!accumulates).then_some(share)).collect();
        begins.push((ready + 1, step(kernel.into(), operands)));
        let read = first_reader(plan, range, *ready);
        waits.push((read, step(AllReduceWait { len, bucket, wire: ranks.wire }.into(), vec![grads])));
    }
    insert(plan, begins, waits);
}

/// Each gradient's bytes and the step behind which it is done, in the order in which they lie.
fn gradients(plan: &Plan) -> Vec<(Range<usize>, usize)> {
    let mut ready: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    // A normalisation's gradient reads the parameters' once more.
    for (index, step) in plan.steps.iter().enumerate().filter(|(_, step)| !step.kernel.is_of_optimizer()) {
        for buffer in step.buffers().map(|id| plan.buffer(id)).filter(|b| b.region == Region::Grads) {
            ready.insert(buffer.offset, (buffer.offset + buffer.bytes, index));
        }
    }
    // The sum over batches is formed of all of them.
    let summed = plan.steps.iter().position(|step| matches!(step.kernel, Kernel::AccumulateGradients(_)));
    let last = |index: usize| summed.map_or(index, |summed| summed.max(index));
    ready.into_iter().map(|(start, (end, index))| (start..end, last(index))).collect()
}

/// Cuts the region into buckets, in the order in which they are whole.
fn buckets(gradients: &[(Range<usize>, usize)], steps: usize, ranks: usize) -> Vec<Bucket> {
    let end = gradients.last().map_or(0, |(range, _)| range.end);
    let enough = bucket_bytes(end, ranks);
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut before = 0;
    for (range, ready) in gradients.iter().rev() {
        // Where the order turns, another group of parameters ends: its last gradients are there long before these. A layer's own
        // come in any order.
        let turns = *ready + steps / BUCKETS < before;
        before = *ready;
        match buckets.last_mut() {
            Some(bucket) if !turns && bucket.range.len() < enough => {
                bucket.range.start = range.start;
                bucket.ready = bucket.ready.max(*ready);
            }
            _ => buckets.push(Bucket { range: range.clone(), ready: *ready }),
        }
    }
    buckets.sort_by_key(|bucket| bucket.ready);
    buckets
}

/// The first step behind `ready` that touches a piece of the gradients' region.
fn first_reader(plan: &Plan, range: &Range<usize>, ready: usize) -> usize {
    let touches = |step: &Step| {
        step.buffers().map(|id| plan.buffer(id)).any(|buffer| {
            let other = buffer.extent();
            buffer.region == Region::Grads && other.start < range.end && range.start < other.end
        })
    };
    let behind = ready + 1;
    plan.steps[behind..].iter().position(touches).map_or(plan.steps.len(), |index| behind + index)
}

/// Puts steps before those of the given numbers; what begins stands before what is waited for.
fn insert(plan: &mut Plan, begins: Vec<Placed>, waits: Vec<Placed>) {
    let mut added: Vec<Placed> = begins.into_iter().chain(waits).collect();
    added.sort_by_key(|(index, _)| *index);
    let mut added = added.into_iter().peekable();
    let steps = std::mem::take(&mut plan.steps);
    let end = steps.len();
    for (index, step) in steps.into_iter().enumerate() {
        while let Some((_, step)) = added.next_if(|(at, _)| *at == index) {
            plan.steps.push(step);
        }
        plan.steps.push(step);
    }
    plan.steps.extend(added.inspect(|(at, _)| debug_assert_eq!(*at, end)).map(|(_, step)| step));
}
