//! Drives operations over feature maps and flat buffers: rows to threads, channels to vectors, tails masked.
//!
//! These kernels are bound by memory, so each makes one pass: per tile of a few rows and one vector of channels, the
//! per-channel operands are loaded once and every element is read and written once.
//!
//! The driver loads and stores, after it has checked the operands' lengths. An operation is arithmetic on vectors, in safe
//! code.

// Loops over constant ranges stay index loops, as in the convolutions' tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::rows::{Rows, RowsMut, spanned};
use crate::ctx::Ctx;
use crate::memory::{LINE, Src};
use crate::simd::{Access, Element, First, Full, Simd, Vector, Work};
use crate::threads::chunk;

/// Rows that share one load of the per-channel operands.
const TILE: usize = 4;

/// The operands of a [`MapOp`]. In place of one that is missing zeros are loaded, and nothing is stored.
pub(crate) struct Operands<'a, E, const C: usize, const I: usize, const O: usize> {
    /// Read, `[channels]` each.
    pub channels: [Option<Src<'a, f32>>; C],
    /// Read, `[rows, channels]` each.
    pub inputs: [Option<Rows<'a, E>>; I],
    /// Written, `[rows, channels]` each. They may lie exactly on inputs.
    pub outputs: [Option<RowsMut<'a, E>>; O],
}

impl<E: Element, const C: usize, const I: usize, const O: usize> Operands<'_, E, C, I, O> {
    /// Checks that all have so many rows and channels.
    #[inline(always)]
    pub fn expect(&self, rows: usize, channels: usize) {
        let long_enough = |len: usize, gap: usize| {
            assert!(len >= spanned(rows, channels, gap), "a map is smaller than the kernel's size");
        };
        for i in 0..C {
            let len = self.channels[i].map_or(channels, Src::len);
            assert!(len >= channels, "an operand has fewer channels than the kernel");
        }
        for i in 0..I {
            if let Some(rows) = self.inputs[i] {
                long_enough(rows.view.len(), rows.gap);
            }
        }
        for i in 0..O {
            if let Some(rows) = self.outputs[i] {
                long_enough(rows.view.len(), rows.gap);
            }
        }
    }

    /// Vectors of the per-channel operands from channel `c` on.
    ///
    /// # Safety
    /// [`Operands::expect`] has been called for these channels.
    #[inline(always)]
    pub unsafe fn load_channels<V: Vector>(&self, simd: Simd<V>, access: impl Access, c: usize) -> [V; C] {
        let mut found = [simd.zero(); C];
        for i in 0..C {
            if let Some(view) = self.channels[i] {
                // SAFETY: the caller's promise.
                found[i] = unsafe { access.load(simd, view.ptr().add(c)) };
            }
        }
        found
    }

    /// Vectors of the inputs, from the element on that is `at` in a map without gaps.
    ///
    /// # Safety
    /// The element is in this row, and [`Operands::expect`] has been called for it.
    #[inline(always)]
    pub unsafe fn load<V: Vector>(
        &self,
        simd: Simd<V>,
        access: impl Access,
        row: usize,
        at: usize,
    ) -> [V; I] {
        let mut found = [simd.zero(); I];
        for i in 0..I {
            if let Some(rows) = self.inputs[i] {
                // SAFETY: the caller's promise.
                found[i] = unsafe { access.load(simd, rows.view.ptr().add(at + row * rows.gap)) };
            }
        }
        found
    }

    /// Stores vectors of the outputs likewise.
    ///
    /// # Safety
    /// As [`Operands::load`]; no other thread touches the elements.
    #[inline(always)]
    pub unsafe fn store<V: Vector>(&self, access: impl Access, row: usize, at: usize, results: [V; O]) {
        for i in 0..O {
            if let Some(rows) = self.outputs[i] {
                // SAFETY: the caller's promise.
                unsafe { access.store(results[i], rows.view.ptr().add(at + row * rows.gap)) };
            }
        }
    }
}

/// Where a vector lies that an operation is applied to.
#[derive(Clone, Copy)]
pub(crate) struct Place<V, A> {
    /// What makes vectors.
    pub simd: Simd<V>,
    /// How many of its lanes.
    pub access: A,
    /// Its first element in a map without gaps.
    pub at: usize,
}

impl<V: Vector, A: Access> Place<V, A> {
    /// What another map without gaps has there.
    ///
    /// # Panics
    /// When it ends before.
    #[inline(always)]
    pub fn load<E: Element>(self, view: Src<'_, E>) -> V {
        assert!(self.at + self.access.count::<V>() <= view.len(), "a map is smaller than the kernel's size");
        // SAFETY: inside.
        unsafe { self.access.load(self.simd, view.ptr().add(self.at)) }
    }
}

/// An operation on the elements of a map `[rows, channels]`, one vector at a time: of `I` inputs and `C` per-channel operands,
/// with `O` results, which are stored ([`map_rows`]) or summed ([`super::reduce`]).
pub(crate) trait MapOp<const C: usize, const I: usize, const O: usize>: Copy + Sync {
    /// Of the maps.
    type Element: Element;

    /// What is computed once per vector of channels, in registers.
    type Channel<V: Vector>: Copy;

    /// The operands.
    fn operands(&self) -> Operands<'_, Self::Element, C, I, O>;

    /// Of the per-channel operands.
    fn channel<V: Vector>(&self, simd: Simd<V>, operands: [V; C]) -> Self::Channel<V>;

    /// The results.
    fn apply<V: Vector>(
        &self,
        place: Place<V, impl Access>,
        channel: Self::Channel<V>,
        inputs: [V; I],
    ) -> [V; O];
}

/// Applies `op` to all of `[rows, channels]`, each thread to its share of the rows.
pub(crate) fn map_rows<const C: usize, const I: usize, const O: usize>(
    ctx: &Ctx<'_>,
    rows: usize,
    channels: usize,
    op: &impl MapOp<C, I, O>,
) {
    ctx.parallel(rows * channels, &|i| {
        let rows = chunk(rows, 1, i, ctx.threads.count());
        ctx.isa.dispatch(MapWork { op, rows, channels });
    });
}

/// Applies `op` to some rows of a map, on this thread.
///
/// # Safety
/// No other thread touches these rows of the outputs.
pub(crate) unsafe fn map_row_range<const C: usize, const I: usize, const O: usize>(
    ctx: &Ctx<'_>,
    rows: Range<usize>,
    channels: usize,
    op: &impl MapOp<C, I, O>,
) {
    ctx.isa.dispatch(MapWork { op, rows, channels });
}

/// Applies `op`, which has no per-channel operands, to a flat buffer.
pub(crate) fn map_flat<const I: usize, const O: usize>(ctx: &Ctx<'_>, len: usize, op: &impl MapOp<0, I, O>) {
    ctx.parallel(len, &|i| {
        let part = chunk(len, LINE, i, ctx.threads.count());
        ctx.isa.dispatch(FlatWork { op, part });
    });
}

/// Some rows, which are this thread's.
struct MapWork<'a, M, const C: usize, const I: usize, const O: usize> {
    op: &'a M,
    rows: Range<usize>,
    channels: usize,
}

impl<M: MapOp<C, I, O>, const C: usize, const I: usize, const O: usize> Work for MapWork<'_, M, C, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // A copy, so that the compiler sees that no store changes it.
        let op = *self.op;
        let operands = op.operands();
        operands.expect(self.rows.end, self.channels);
        let mut row = self.rows.start;
        while row + TILE <= self.rows.end {
            self.tile::<V, TILE>(simd, &op, &operands, row);
            row += TILE;
        }
        for row in row..self.rows.end {
            self.tile::<V, 1>(simd, &op, &operands, row);
        }
    }
}

impl<M: MapOp<C, I, O>, const C: usize, const I: usize, const O: usize> MapWork<'_, M, C, I, O> {
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize>(
        &self,
        simd: Simd<V>,
        op: &M,
        operands: &Operands<'_, M::Element, C, I, O>,
        row: usize,
    ) {
        let whole = self.channels - self.channels % V::LANES;
        for c in (0..whole).step_by(V::LANES) {
            // SAFETY: `c + LANES <= channels`; `run` has checked the lengths.
            unsafe { self.column::<V, ROWS>(simd, op, operands, Full, row, c) };
        }
        if whole < self.channels {
            let last = First::new::<V>(self.channels - whole);
            // SAFETY: as many lanes as channels are left.
            unsafe { self.column::<V, ROWS>(simd, op, operands, last, row, whole) };
        }
    }

    /// # Safety
    /// `access` reaches no channel beyond the last; the operands have this one, and these rows.
    #[inline(always)]
    unsafe fn column<V: Vector, const ROWS: usize>(
        &self,
        simd: Simd<V>,
        op: &M,
        operands: &Operands<'_, M::Element, C, I, O>,
        access: impl Access,
        row: usize,
        c: usize,
    ) {
        // SAFETY: the caller's promise; the rows are this thread's.
        unsafe {
            let channel = op.channel(simd, operands.load_channels(simd, access, c));
            for row in row..row + ROWS {
                let at = row * self.channels + c;
                let inputs = operands.load(simd, access, row, at);
                let results = op.apply(Place { simd, access, at }, channel, inputs);
                operands.store(access, row, at, results);
            }
        }
    }
}

/// Some elements, which are this thread's.
struct FlatWork<'a, M, const I: usize, const O: usize> {
    op: &'a M,
    part: Range<usize>,
}

impl<M: MapOp<0, I, O>, const I: usize, const O: usize> Work for FlatWork<'_, M, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let op = *self.op;
        let operands = op.operands();
        operands.expect(1, self.part.end);
        let channel = op.channel(simd, []);
        let Range { start, end } = self.part;
        let whole = end - (end - start) % V::LANES;
        for at in (start..whole).step_by(V::LANES) {
            // SAFETY: the lengths have been checked.
            unsafe { vector(simd, &op, &operands, Full, channel, at) };
        }
        if whole < end {
            // SAFETY: as many lanes as elements are left.
            unsafe { vector(simd, &op, &operands, First::new::<V>(end - whole), channel, whole) };
        }
    }
}

/// Applies `op` to one vector.
///
/// # Safety
/// The operands have the elements that `access` reaches from `at` on, and they are this thread's.
#[inline(always)]
unsafe fn vector<V: Vector, M: MapOp<0, I, O>, const I: usize, const O: usize>(
    simd: Simd<V>,
    op: &M,
    operands: &Operands<'_, M::Element, 0, I, O>,
    access: impl Access,
    channel: M::Channel<V>,
    at: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inputs = operands.load(simd, access, 0, at);
        let results = op.apply(Place { simd, access, at }, channel, inputs);
        operands.store(access, 0, at, results);
    }
}
