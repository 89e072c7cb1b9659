//! Drives elementwise operations over feature maps and flat buffers: rows to threads, channels to vectors, tails masked.
//!
//! These kernels are bound by memory, so each makes one pass: per tile of a few rows and one vector of channels, the
//! per-channel operands are loaded once and every element is read and written once.

use std::ops::Range;

use crate::cpu::ctx::Ctx;
use crate::cpu::memory::LINE;
use crate::cpu::simd::{Access, First, Full, Vector, Work};
use crate::cpu::threads::chunk;

/// Rows that share one load of the per-channel operands.
const TILE: usize = 4;

/// An operation on the elements of a map `[rows, channels]`, one vector at a time.
///
/// Outputs may lie exactly on inputs: [`MapOp::apply`] loads everything it needs before it stores.
///
/// # Safety
/// Of both functions: dispatched as [`Vector`] demands; `access` reaches no element beyond the row, and no other thread
/// touches the elements written.
pub(in crate::cpu) trait MapOp: Sync {
    /// The per-channel operands of one vector of channels, in registers.
    type Channel<V: Vector>: Copy;

    /// Loads the operands of the channels from `channel` on.
    unsafe fn channel<V: Vector>(&self, access: impl Access, channel: usize) -> Self::Channel<V>;

    /// Computes the elements from `at` on, which are in the given row: in a view with gaps between its rows they are
    /// `row * gap` further on.
    unsafe fn apply<V: Vector>(&self, access: impl Access, operands: Self::Channel<V>, row: usize, at: usize);
}

/// Applies `op` to all of `[rows, channels]`, each thread to its share of the rows.
///
/// # Safety
/// Views in `op` are as long as the map (per-channel ones as `channels`), and the gaps between its rows where it has any.
pub(in crate::cpu) unsafe fn map_rows(ctx: &Ctx<'_>, rows: usize, channels: usize, op: &impl MapOp) {
    ctx.parallel(rows * channels, &|i| {
        let rows = chunk(rows, 1, i, ctx.threads.count());
        ctx.isa.dispatch(MapWork { op, rows, channels });
    });
}

/// Applies `op` to some rows of a map, on this thread.
///
/// # Safety
/// As [`map_rows`]; no other thread touches the rows.
pub(in crate::cpu) unsafe fn map_row_range(
    ctx: &Ctx<'_>,
    rows: Range<usize>,
    channels: usize,
    op: &impl MapOp,
) {
    ctx.isa.dispatch(MapWork { op, rows, channels });
}

/// Applies `op`, which has no per-channel operands, to a flat buffer.
///
/// # Safety
/// Views in `op` are `len` elements long, without gaps.
pub(in crate::cpu) unsafe fn map_flat(ctx: &Ctx<'_>, len: usize, op: &impl MapOp) {
    ctx.parallel(len, &|i| {
        let part = chunk(len, LINE, i, ctx.threads.count());
        ctx.isa.dispatch(FlatWork { op, part });
    });
}

struct MapWork<'a, O> {
    op: &'a O,
    rows: Range<usize>,
    channels: usize,
}

impl<O: MapOp> Work for MapWork<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let mut row = self.rows.start;
        while row + TILE <= self.rows.end {
            // SAFETY: the rows are this thread's; `map_rows`' caller vouches for the lengths.
            unsafe { map_tile::<V, O, TILE>(self.op, row, self.channels) };
            row += TILE;
        }
        for row in row..self.rows.end {
            // SAFETY: as above.
            unsafe { map_tile::<V, O, 1>(self.op, row, self.channels) };
        }
    }
}

#[inline(always)]
unsafe fn map_tile<V: Vector, O: MapOp, const ROWS: usize>(op: &O, row: usize, channels: usize) {
    let whole = channels - channels % V::LANES;
    for c in (0..whole).step_by(V::LANES) {
        // SAFETY: `c + LANES <= channels`.
        unsafe { map_column::<V, O, ROWS>(op, Full, row, channels, c) };
    }
    if whole < channels {
        // SAFETY: as many lanes as channels are left.
        unsafe { map_column::<V, O, ROWS>(op, First(channels - whole), row, channels, whole) };
    }
}

#[inline(always)]
unsafe fn map_column<V: Vector, O: MapOp, const ROWS: usize>(
    op: &O,
    access: impl Access,
    row: usize,
    channels: usize,
    c: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let operands = op.channel::<V>(access, c);
        for k in 0..ROWS {
            op.apply::<V>(access, operands, row + k, (row + k) * channels + c);
        }
    }
}

struct FlatWork<'a, O> {
    op: &'a O,
    part: Range<usize>,
}

impl<O: MapOp> Work for FlatWork<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Range { start, end } = self.part;
        let whole = end - (end - start) % V::LANES;
        // SAFETY: the part is this thread's, and `map_flat`'s caller vouches for the length.
        unsafe {
            let operands = self.op.channel::<V>(Full, 0);
            for at in (start..whole).step_by(V::LANES) {
                self.op.apply::<V>(Full, operands, 0, at);
            }
            if whole < end {
                self.op.apply::<V>(First(end - whole), operands, 0, whole);
            }
        }
    }
}
