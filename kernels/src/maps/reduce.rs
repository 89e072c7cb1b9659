//! Sums over rows, per channel: what bias gradients and both passes of batch statistics are made of.
//!
//! Rows go to threads in one contiguous share each. A thread adds `f32` vectors over a block of rows, then adds the
//! block's sums to `f64` totals, so rounding errors grow with the block's length, not with the batch's. The threads'
//! totals are merged in the order of the threads: the same thread count gives the same bits.

use std::ops::Range;

use super::stream::{MapOp, Operands, Place};
use crate::ctx::Ctx;
use crate::memory::{Dst, LINE};
use crate::simd::{Access, First, Full, Simd, Vector};

/// Rows between two additions to the running sums in memory.
const TILE: usize = 8;

/// Adds the results of `op` for `rows` to `sums`, each `[channels]`.
#[inline(always)]
pub(crate) fn accumulate<V: Vector, M: MapOp<C, I, K>, const C: usize, const I: usize, const K: usize>(
    simd: Simd<V>,
    op: &M,
    rows: Range<usize>,
    sums: [&mut [f32]; K],
) {
    let channels = sums.first().map_or(0, |sum| sum.len());
    assert!(sums.iter().all(|sum| sum.len() == channels), "sums of as many channels");
    // A copy, so that the compiler sees that no store changes it.
    let op = *op;
    let operands = op.operands();
    operands.expect(rows.end, channels);
    let work = Accumulate { op: &op, operands: &operands, channels, sums: sums.map(<[f32]>::as_mut_ptr) };
    let mut row = rows.start;
    while row + TILE <= rows.end {
        work.tile::<V, TILE>(simd, row);
        row += TILE;
    }
    for row in row..rows.end {
        work.tile::<V, 1>(simd, row);
    }
}

/// See [`accumulate`].
struct Accumulate<'a, M: MapOp<C, I, K>, const C: usize, const I: usize, const K: usize> {
    op: &'a M,
    operands: &'a Operands<'a, M::Element, C, I, K>,
    channels: usize,
    sums: [*mut f32; K],
}

impl<M: MapOp<C, I, K>, const C: usize, const I: usize, const K: usize> Accumulate<'_, M, C, I, K> {
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize>(&self, simd: Simd<V>, row: usize) {
        let whole = self.channels - self.channels % V::LANES;
        for c in (0..whole).step_by(V::LANES) {
            // SAFETY: `c + LANES <= channels`; `accumulate` has checked the lengths.
            unsafe { self.column::<V, ROWS>(simd, Full, row, c) };
        }
        if whole < self.channels {
            let last = First::new::<V>(self.channels - whole);
            // SAFETY: as many lanes as channels are left.
            unsafe { self.column::<V, ROWS>(simd, last, row, whole) };
        }
    }

    /// # Safety
    /// `access` reaches no channel beyond the last; the operands have this one, and these rows.
    #[inline(always)]
    unsafe fn column<V: Vector, const ROWS: usize>(
        &self,
        simd: Simd<V>,
        access: impl Access,
        row: usize,
        c: usize,
    ) {
        // SAFETY: the caller's promise; the sums are borrowed by `accumulate`.
        unsafe {
            let channel = self.op.channel(simd, self.operands.load_channels(simd, access, c));
            let mut tile = self.terms(simd, access, channel, row, c);
            for row in row + 1..row + ROWS {
                let terms = self.terms(simd, access, channel, row, c);
                for (sum, term) in tile.iter_mut().zip(terms) {
                    *sum = sum.add(term);
                }
            }
            for (sum, total) in tile.into_iter().zip(self.sums) {
                let at = total.add(c);
                access.store(access.load(simd, at.cast_const()).add(sum), at);
            }
        }
    }

    /// # Safety
    /// As [`Accumulate::column`].
    #[inline(always)]
    unsafe fn terms<V: Vector>(
        &self,
        simd: Simd<V>,
        access: impl Access,
        channel: M::Channel<V>,
        row: usize,
        c: usize,
    ) -> [V; K] {
        let at = row * self.channels + c;
        // SAFETY: the caller's promise.
        let inputs = unsafe { self.operands.load(simd, access, row, at) };
        self.op.apply(Place { simd, access, at }, channel, inputs)
    }
}

/// The threads' totals in scratch memory: for each thread `TOTALS` arrays of `f64` and `BLOCKS` of `f32`, `[channels]`.
#[derive(Clone, Copy)]
pub(crate) struct Partials<'a, const TOTALS: usize, const BLOCKS: usize> {
    scratch: Dst<'a, f32>,
    channels: usize,
}

impl<'a, const TOTALS: usize, const BLOCKS: usize> Partials<'a, TOTALS, BLOCKS> {
    /// Floats of scratch memory that they take.
    pub fn scratch_len(channels: usize, threads: usize) -> usize {
        threads * (2 * TOTALS + BLOCKS) * channels.next_multiple_of(LINE)
    }

    /// Lays them out.
    pub fn new(ctx: &Ctx<'a>, channels: usize) -> Self {
        let needed = Self::scratch_len(channels, ctx.threads.count());
        assert!(ctx.scratch.len() >= needed, "scratch memory is smaller than was asked for at load");
        assert!(ctx.scratch.ptr().cast::<f64>().is_aligned(), "scratch memory starts at a cache line");
        Partials { scratch: ctx.scratch, channels }
    }

    /// First element of a thread's totals; those of its blocks follow.
    fn first(&self, thread: usize) -> *mut f64 {
        let part = Self::scratch_len(self.channels, 1);
        assert!((thread + 1) * part <= self.scratch.len(), "no such thread");
        self.scratch.ptr().wrapping_add(thread * part).cast()
    }

    /// A thread's totals, and its sums of one block of rows.
    ///
    /// # Safety
    /// Nothing else reads or writes them while the slices live.
    pub unsafe fn of(&self, thread: usize) -> ([&'a mut [f64]; TOTALS], [&'a mut [f32]; BLOCKS]) {
        let stride = self.channels.next_multiple_of(LINE);
        let totals = self.first(thread);
        let blocks: *mut f32 = totals.wrapping_add(TOTALS * stride).cast();
        // SAFETY: inside; aligned, as `new` has checked; disjoint; unique by the caller's promise.
        unsafe {
            let total = |i| std::slice::from_raw_parts_mut(totals.add(i * stride), self.channels);
            let block = |i| std::slice::from_raw_parts_mut(blocks.add(i * stride), self.channels);
            (std::array::from_fn(total), std::array::from_fn(block))
        }
    }

    /// A thread's totals of one channel, after all threads are done.
    ///
    /// # Safety
    /// Nothing writes them meanwhile.
    pub unsafe fn total(&self, thread: usize, channel: usize) -> [f64; TOTALS] {
        assert!(channel < self.channels);
        let stride = self.channels.next_multiple_of(LINE);
        let first = self.first(thread);
        // SAFETY: inside, as in `of`.
        std::array::from_fn(|i| unsafe { first.add(i * stride + channel).read() })
    }
}
