//! What a training step does where each rank has a part of the optimizer's state: a span's update is followed by the step that begins to give
//! all ranks what each has updated of it, and the next span is updated meanwhile.

use std::ops::Range;

use super::ranks::bucket_bytes;
use crate::ir::types::{DType, TensorType};
use crate::plan::kernel::{AllGather, AllGatherWait};
use crate::plan::{BufferId, Kernel, Plan, Region, Shard, Step, align};

/// Cuts parameters that are updated alike into spans, of about the size that the buckets of all `trained` bytes of gradients have: what is
/// under way takes memory besides.
pub(super) fn spans(range: Range<usize>, trained: usize, ranks: usize, to: usize) -> Vec<Range<usize>> {
    let enough = align(bucket_bytes(trained, ranks), to);
    let count = range.len().div_ceil(enough).max(1);
    let each = align(range.len().div_ceil(count), to).max(to);
    range.clone().step_by(each).map(|start| start..(start + each).min(range.end)).collect()
}

/// The spans that are gathered, one behind the other.
#[derive(Default)]
pub(super) struct Gathers {
    begun: usize,
    /// The wait for the last one that was begun.
    open: Option<Step>,
}

impl Gathers {
    /// Adds the step that begins to gather a span, behind its update, and the wait for the one before it: at most two are under way.
    pub fn begin(&mut self, plan: &mut Plan, update: &str, shard: &Shard) {
        let (len, part) = (shard.span / DType::F32.size(), shard.bytes / DType::F32.size());
        let (bucket, name) = (self.begun, format!("all_gather{}", self.begun));
        let ty = TensorType::f32([len]);
        let span = plan.add_buffer(format!("{update}.all_params"), &ty, Region::Params, shard.offset);
        let step = |kernel: Kernel, inputs: Vec<BufferId>| Step {
            name: name.clone(),
            kernel,
            inputs,
            outputs: Vec::new(),
        };
        plan.steps.push(step(AllGather { len, part, bucket }.into(), vec![span]));
        plan.steps.extend(self.open.replace(step(AllGatherWait { len, part, bucket }.into(), vec![span])));
        self.begun += 1;
    }

    /// Adds the wait for the last one.
    pub fn finish(self, plan: &mut Plan) {
        plan.steps.extend(self.open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_each_other_and_are_about_as_large_as_buckets() {
        for (range, trained) in
            [(0..64, 64), (64..100_096, 1 << 20), (0..1 << 20, 1 << 20), (128..128 + (40 << 20), 80 << 20)]
        {
            let spans = spans(range.clone(), trained, 2, 64);
            let (first, last) = (spans[0].start, spans[spans.len() - 1].end);
            assert_eq!((first, last), (range.start, range.end));
            assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
            let enough = bucket_bytes(trained, 2);
            assert!(
                spans
                    .iter()
                    .all(|span| span.len().is_multiple_of(64) && !span.is_empty() && span.len() <= enough)
            );
            assert!(spans.len() <= range.len() / enough + 1, "{} spans of {range:?}", spans.len());
        }
    }
}
