//! Sums over rows, per channel: what bias gradients and both passes of batch statistics are made of.
//!
//! Rows go to threads in one contiguous share each. A thread adds `f32` vectors over a block of rows, then adds the
//! block's sums to `f64` totals, so rounding errors grow with the block's length, not with the batch's. The threads'
//! totals are merged in the order of the threads: the same thread count gives the same bits.

use std::ops::Range;

use crate::cpu::ctx::Ctx;
use crate::cpu::memory::{Dst, LINE};
use crate::cpu::simd::{Access, First, Full, Vector};

/// Rows between two additions to the running sums in memory.
const TILE: usize = 8;

/// Terms to be summed: `K` of them from each element.
///
/// # Safety
/// Of both functions: dispatched as [`Vector`] demands; `access` reaches no element beyond the row.
pub(in crate::cpu) trait Terms<const K: usize> {
    /// The per-channel operands of one vector of channels, in registers.
    type Channel<V: Vector>: Copy;

    /// Loads the operands of the channels from `channel` on.
    unsafe fn channel<V: Vector>(&self, access: impl Access, channel: usize) -> Self::Channel<V>;

    /// The terms of the elements from `at` on, which are in the given row.
    unsafe fn terms<V: Vector>(
        &self,
        access: impl Access,
        operands: Self::Channel<V>,
        row: usize,
        at: usize,
    ) -> [V; K];
}

/// Adds the terms of `rows` to `sums`, each `[channels]`.
///
/// # Safety
/// Dispatched as [`Vector`] demands; the rows are inside the views of `op`; `sums` are valid and this thread's alone.
#[inline(always)]
pub(in crate::cpu) unsafe fn accumulate<V: Vector, T: Terms<K>, const K: usize>(
    op: &T,
    rows: Range<usize>,
    channels: usize,
    sums: [*mut f32; K],
) {
    let mut row = rows.start;
    while row + TILE <= rows.end {
        // SAFETY: the caller's promise.
        unsafe { accumulate_tile::<V, T, K, TILE>(op, row, channels, sums) };
        row += TILE;
    }
    for row in row..rows.end {
        // SAFETY: the caller's promise.
        unsafe { accumulate_tile::<V, T, K, 1>(op, row, channels, sums) };
    }
}

#[inline(always)]
unsafe fn accumulate_tile<V: Vector, T: Terms<K>, const K: usize, const ROWS: usize>(
    op: &T,
    row: usize,
    channels: usize,
    sums: [*mut f32; K],
) {
    let whole = channels - channels % V::LANES;
    for c in (0..whole).step_by(V::LANES) {
        // SAFETY: `c + LANES <= channels`.
        unsafe { accumulate_column::<V, T, K, ROWS>(op, Full, row, channels, c, sums) };
    }
    if whole < channels {
        // SAFETY: as many lanes as channels are left.
        unsafe {
            accumulate_column::<V, T, K, ROWS>(op, First(channels - whole), row, channels, whole, sums)
        };
    }
}

#[inline(always)]
unsafe fn accumulate_column<V: Vector, T: Terms<K>, const K: usize, const ROWS: usize>(
    op: &T,
    access: impl Access,
    row: usize,
    channels: usize,
    c: usize,
    sums: [*mut f32; K],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let operands = op.channel::<V>(access, c);
        let mut tile = op.terms::<V>(access, operands, row, row * channels + c);
        for row in row + 1..row + ROWS {
            let terms = op.terms::<V>(access, operands, row, row * channels + c);
            for (sum, term) in tile.iter_mut().zip(terms) {
                *sum = sum.add(term);
            }
        }
        for (sum, total) in tile.into_iter().zip(sums) {
            let at = total.add(c);
            access.store(access.load::<V>(at).add(sum), at);
        }
    }
}

/// The threads' totals in scratch memory: for each thread `TOTALS` arrays of `f64` and `BLOCKS` of `f32`, `[channels]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Partials<'a, const TOTALS: usize, const BLOCKS: usize> {
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

    /// First element of a thread's part.
    fn start(&self, thread: usize) -> *mut f32 {
        let part = Self::scratch_len(self.channels, 1);
        self.scratch.ptr().wrapping_add(thread * part)
    }

    /// A thread's totals.
    ///
    /// # Safety
    /// Nothing else reads or writes them while the slices live.
    pub unsafe fn totals(&self, thread: usize) -> [&'a mut [f64]; TOTALS] {
        let stride = self.channels.next_multiple_of(LINE);
        let first = self.start(thread).cast::<f64>();
        // SAFETY: inside the scratch memory, whose size `new` has checked, as its alignment; disjoint; unique by the
        // caller's promise.
        std::array::from_fn(|i| unsafe {
            std::slice::from_raw_parts_mut(first.add(i * stride), self.channels)
        })
    }

    /// A thread's totals of one channel, after all threads are done.
    ///
    /// # Safety
    /// Nothing writes them meanwhile.
    pub unsafe fn total(&self, thread: usize, channel: usize) -> [f64; TOTALS] {
        assert!(channel < self.channels);
        let stride = self.channels.next_multiple_of(LINE);
        let first = self.start(thread).cast::<f64>();
        // SAFETY: inside, as in `totals`.
        std::array::from_fn(|i| unsafe { first.add(i * stride + channel).read() })
    }

    /// A thread's sums of one block of rows, to be used through pointers.
    pub fn blocks(&self, thread: usize) -> [*mut f32; BLOCKS] {
        let stride = self.channels.next_multiple_of(LINE);
        let first = self.start(thread).wrapping_add(2 * TOTALS * stride);
        std::array::from_fn(|i| first.wrapping_add(i * stride))
    }
}
