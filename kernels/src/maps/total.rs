//! Sums over all elements of flat buffers: norms.
//!
//! A thread adds `f32` vectors over a block, then the block's lanes to `f64` totals, so that rounding errors grow with the block's
//! length alone. The threads' totals are added in the order of the threads: the same thread count gives the same bits.

use std::ops::Range;

use super::stream::{MapOp, Operands, Place};
use crate::ctx::Ctx;
use crate::memory::LINE;
use crate::simd::{Access, First, Full, MAX_LANES, Simd, Vector, Work};
use crate::threads::chunk;

/// Vectors of a block.
const BLOCK: usize = 32;
/// Floats of a thread's totals: a cache line of its own.
const SHARE: usize = 16;

/// Floats of scratch memory that sums over a flat buffer take.
pub fn sum_flat_scratch_len(threads: usize) -> usize {
    threads * SHARE
}

/// Sums of an operation's results over a flat buffer, which are not stored.
pub(crate) fn sum_flat<const I: usize, const K: usize>(
    ctx: &Ctx<'_>,
    len: usize,
    op: &impl MapOp<0, I, K>,
) -> [f64; K] {
    const { assert!(2 * K <= SHARE, "totals fill a cache line at most") };
    let threads = ctx.threads.count();
    let share = |thread: usize| thread * SHARE..(thread + 1) * SHARE;
    ctx.parallel(len, &|thread| {
        let part = chunk(len, LINE, thread, threads);
        let sums = ctx.isa.dispatch(SumWork { op, part });
        // SAFETY: each thread has a share of its own, and nothing else uses scratch memory meanwhile.
        let own = unsafe { ctx.scratch.slice(share(thread)) };
        bytemuck::cast_slice_mut::<f32, f64>(own)[..K].copy_from_slice(&sums);
    });
    let mut totals = [0.0; K];
    for thread in 0..threads {
        // SAFETY: the threads are done.
        let sums = unsafe { ctx.scratch.slice(share(thread)) };
        for (total, sum) in totals.iter_mut().zip(bytemuck::cast_slice::<f32, f64>(sums)) {
            *total += sum;
        }
    }
    totals
}

/// Some elements, which are this thread's.
struct SumWork<'a, M, const I: usize, const K: usize> {
    op: &'a M,
    part: Range<usize>,
}

impl<M: MapOp<0, I, K>, const I: usize, const K: usize> Work for SumWork<'_, M, I, K> {
    type Output = [f64; K];

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) -> [f64; K] {
        let op = *self.op;
        let operands = op.operands();
        operands.expect(1, self.part.end);
        let channel = op.channel(simd, []);
        let mut totals = [0.0; K];
        let Range { start, end } = self.part;
        let whole = end - (end - start) % V::LANES;
        for block in (start..whole).step_by(BLOCK * V::LANES) {
            let mut sums = [simd.zero(); K];
            for at in (block..whole.min(block + BLOCK * V::LANES)).step_by(V::LANES) {
                // SAFETY: the lengths have been checked.
                let terms = unsafe { terms(simd, &op, &operands, Full, channel, at) };
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum = sum.add(term);
                }
            }
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total += f64::from(sum.sum());
            }
        }
        if whole < end {
            let last = First::new::<V>(end - whole);
            // SAFETY: as many lanes as elements are left.
            let terms = unsafe { terms(simd, &op, &operands, last, channel, whole) };
            for (total, term) in totals.iter_mut().zip(terms) {
                let mut lanes = [0.0f32; MAX_LANES];
                // SAFETY: a vector has no more lanes.
                unsafe { last.store(term, lanes.as_mut_ptr()) };
                *total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
            }
        }
        totals
    }
}

/// The results for one vector.
///
/// # Safety
/// The operands have the elements that `access` reaches from `at` on.
#[inline(always)]
unsafe fn terms<V: Vector, M: MapOp<0, I, K>, const I: usize, const K: usize>(
    simd: Simd<V>,
    op: &M,
    operands: &Operands<'_, M::Element, 0, I, K>,
    access: impl Access,
    channel: M::Channel<V>,
    at: usize,
) -> [V; K] {
    // SAFETY: the caller's promise.
    let inputs = unsafe { operands.load(simd, access, 0, at) };
    op.apply(Place { simd, access, at }, channel, inputs)
}
