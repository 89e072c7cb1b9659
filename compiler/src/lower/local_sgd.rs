//! How ranks that update by their own gradients become one again (local SGD; Stich 2019): parameters, and all that the optimizer keeps, become
//! their mean over ranks. Momentum is averaged with the weights, as Yu, Jin and Yang (2019) do.
//!
//! A rank's share is rounded to `f32`, so that the shares of `n` ranks are 1 in sum to `n * 2^-25`: much less than an update changes.

use crate::ir::types::{DType, TensorType};
use crate::plan::kernel::{AllReduce, AllReduceWait};
use crate::plan::{GRADIENT_SUM, Kernel, Plan, Region, Step, align};

/// The most bytes of a bucket.
const BUCKET_BYTES: usize = 4 << 20;

/// Buckets that are under way at once: one is copied while another travels. Each has memory of its own where it is sent from.
const UNDER_WAY: usize = 2;

/// Adds the means. Frozen parameters, which are behind the others, are the same on all ranks.
pub(super) fn add_means(plan: &mut Plan) {
    let share = plan.share();
    let mut waits: Vec<Step> = Vec::new();
    for (index, (name, region, start, bytes)) in buckets(plan).into_iter().enumerate() {
        if let Some(wait) = index.checked_sub(UNDER_WAY).map(|first| waits[first].clone()) {
            plan.steps.push(wait);
        }
        let len = bytes / DType::F32.size();
        let buffer = plan.add_buffer(name.clone(), &TensorType::f32([len]), region, start);
        let (bucket, wire) = (index % UNDER_WAY, DType::F32);
        let step = |kernel: Kernel, inputs| Step { name: name.clone(), kernel, inputs, outputs: Vec::new() };
        let kernel = AllReduce { len, bucket, wire, weighted: true };
        plan.steps.push(step(kernel.into(), vec![buffer, share]));
        waits.push(step(AllReduceWait { len, bucket, wire }.into(), vec![buffer]));
    }
    let open = waits.len().saturating_sub(UNDER_WAY);
    plan.steps.extend(waits.drain(open..));
}

/// Name, region, first byte and bytes of each bucket. The sum of gradients over batches is none: each update begins it anew.
fn buckets(plan: &Plan) -> Vec<(String, Region, usize, usize)> {
    let trained = plan.sizes.params - plan.sizes.frozen;
    let state = (0..).zip(&plan.optimizer).filter(|(_, name)| *name != GRADIENT_SUM);
    let state = state.map(|(tensor, name)| (Region::Optimizer(tensor), &**name));
    let each = align(trained.div_ceil(trained.div_ceil(BUCKET_BYTES).max(1)), plan.align);
    let mut buckets = Vec::new();
    for (region, name) in [(Region::Params, "params")].into_iter().chain(state) {
        for (piece, start) in (0..trained).step_by(each.max(1)).enumerate() {
            buckets.push((format!("mean.{name}{piece}"), region, start, each.min(trained - start)));
        }
    }
    buckets
}
