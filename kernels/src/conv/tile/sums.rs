//! Sums of which each thread has made a part.

use std::ops::Range;

use crate::ctx::Ctx;
use crate::memory::{Dst, Src};
use crate::simd::{Simd, Vector, Work};
use crate::threads::chunk;

/// Adds up the threads' partial gradients, in their order: each begins `stride` floats behind that of the thread before.
pub(in crate::conv) fn add_up(ctx: &Ctx<'_>, partial: Dst<'_, f32>, stride: usize, dw: Dst<'_, f32>) {
    let count = ctx.threads.count();
    ctx.threads.run(&|thread| {
        let range = chunk(dw.len(), 16, thread, count);
        ctx.isa.dispatch(Sum { partial: partial.src(), stride, count, range, to: dw });
    });
}

/// One thread's share of adding up the threads' partial sums.
struct Sum<'a> {
    /// The first thread's.
    partial: Src<'a, f32>,
    /// Floats from one thread's to the next one's.
    stride: usize,
    /// How many there are.
    count: usize,
    /// Floats that this thread adds up.
    range: Range<usize>,
    /// Where the results go.
    to: Dst<'a, f32>,
}

impl Work for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        assert!(self.range.end + (self.count - 1) * self.stride <= self.partial.len(), "partial sums");
        assert!(self.range.end <= self.to.len(), "sums");
        for at in self.range.clone().step_by(V::LANES) {
            let count = V::LANES.min(self.range.end - at);
            // SAFETY: the lengths are checked above; threads write disjoint ranges.
            unsafe {
                let mut sum = simd.zero();
                for other in 0..self.count {
                    sum = sum.add(simd.load_first(self.partial.ptr().add(other * self.stride + at), count));
                }
                sum.store_first(self.to.ptr().add(at), count);
            }
        }
    }
}
