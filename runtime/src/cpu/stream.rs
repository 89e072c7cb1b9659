//! Drives elementwise operations over feature maps and flat buffers: rows to threads, channels to vectors, tails masked.
//!
//! These kernels are bound by memory, so each makes one pass: per tile of a few rows and one vector of channels, the
//! per-channel operands are loaded once and every element is read and written once.

use std::ops::Range;

use crate::cpu::Ctx;
use crate::cpu::isa::Work;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stored::Element;
use crate::cpu::vector::Vector;

/// Below this many elements, waking the other threads costs more than it saves.
const SERIAL: usize = 4096;

/// Rows that share one load of the per-channel operands.
const TILE: usize = 4;

/// Elements of a cache line: threads split flat buffers at multiples of it.
pub(super) const LINE: usize = 16;

impl Ctx<'_> {
    /// Runs `task(index)` for each thread's index: on all threads or, with little to do, one after the other on this
    /// one. The partition follows from the index, so the results are the same.
    pub(super) fn parallel(&self, elements: usize, task: &(dyn Fn(usize) + Sync)) {
        if elements < SERIAL {
            (0..self.pool.threads()).for_each(task);
        } else {
            self.pool.run(task);
        }
    }
}

/// Whether a vector is whole or the last, partial one.
///
/// # Safety
/// Of its functions: dispatched as [`Vector`] demands; the elements counted are valid.
pub trait Access: Copy {
    /// Elements from `p` on.
    unsafe fn load<V: Vector>(self, p: *const f32) -> V;
    /// Elements to `p` on.
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32);
    /// Bytes from `p` on, as numbers.
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V;
    /// Whole numbers below 256, as bytes to `p` on.
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8);
    /// bf16 from `p` on.
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V;
    /// Rounded to bf16, to `p` on.
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16);
}

/// All lanes.
#[derive(Clone, Copy)]
pub(super) struct Full;

/// The first lanes only.
#[derive(Clone, Copy)]
pub(super) struct First(pub usize);

impl Access for Full {
    #[inline(always)]
    unsafe fn load<V: Vector>(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(p) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v.store(p) }
    }

    #[inline(always)]
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bytes(p) }
    }

    #[inline(always)]
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { v.store_bytes(p) }
    }

    #[inline(always)]
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(p) }
    }

    #[inline(always)]
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { v.store_bf16(p) }
    }
}

impl Access for First {
    #[inline(always)]
    unsafe fn load<V: Vector>(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_first(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v.store_first(p, self.0) }
    }

    #[inline(always)]
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V {
        let mut bytes = [0u8; 16];
        // SAFETY: `self.0` bytes are readable, and no vector is longer than 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, bytes.as_mut_ptr(), self.0);
            V::load_bytes(bytes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8) {
        let mut bytes = [0u8; 16];
        // SAFETY: `self.0` bytes are writable, and no vector is longer than 16.
        unsafe {
            v.store_bytes(bytes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), p, self.0);
        }
    }

    #[inline(always)]
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V {
        let mut halves = [0u16; 16];
        // SAFETY: `self.0` elements are readable, and no vector is longer than 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, halves.as_mut_ptr(), self.0);
            V::load_bf16(halves.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16) {
        let mut halves = [0u16; 16];
        // SAFETY: `self.0` elements are writable, and no vector is longer than 16.
        unsafe {
            v.store_bf16(halves.as_mut_ptr());
            std::ptr::copy_nonoverlapping(halves.as_ptr(), p, self.0);
        }
    }
}

/// An operation on the elements of a map `[rows, channels]`, one vector at a time.
///
/// Outputs may lie exactly on inputs: [`MapOp::apply`] loads everything it needs before it stores.
///
/// # Safety
/// Of both functions: dispatched as [`Vector`] demands; `access` reaches no element beyond the row, and no other thread
/// touches the elements written.
pub(super) trait MapOp: Sync {
    /// The per-channel operands of one vector of channels, in registers.
    type Channel<V: Vector>: Copy;

    /// Loads the operands of the channels from `channel` on.
    unsafe fn channel<V: Vector>(&self, access: impl Access, channel: usize) -> Self::Channel<V>;

    /// Computes the elements from `at` on, which are in the given row: in a view with gaps between its rows they are
    /// `row * gap` further on.
    unsafe fn apply<V: Vector>(&self, access: impl Access, operands: Self::Channel<V>, row: usize, at: usize);
}

/// A map to be read between whose rows there may be gaps.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    /// From the first element to the last.
    pub view: Src<'a, E>,
    /// Elements between the last of a row and the first of the next.
    pub gap: usize,
}

impl<E: Element> Rows<'_, E> {
    /// Checks the length.
    #[track_caller]
    pub(super) fn expect(self, rows: usize, channels: usize, what: &str) {
        expect_len(self.view.len(), spanned(rows, channels, self.gap), what);
    }

    /// The vector of a row's elements, `at` being their index in a map without gaps.
    ///
    /// # Safety
    /// As [`Access::load`]; the elements lie inside the view.
    #[inline(always)]
    pub(super) unsafe fn load<V: Vector>(self, access: impl Access, row: usize, at: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { load(access, self.view, at + row * self.gap) }
    }
}

/// Elements from the first of a map to its last, with a gap between rows.
pub(super) fn spanned(rows: usize, channels: usize, gap: usize) -> usize {
    rows * channels + rows.saturating_sub(1) * gap
}

/// Applies `op` to all of `[rows, channels]`, each thread to its share of the rows.
///
/// # Safety
/// Views in `op` are as long as the map (per-channel ones as `channels`), and the gaps between its rows where it has any.
pub(super) unsafe fn map_rows(ctx: &Ctx<'_>, rows: usize, channels: usize, op: &impl MapOp) {
    ctx.parallel(rows * channels, &|i| {
        let rows = share(rows, 1, i, ctx.pool.threads());
        ctx.isa.dispatch(MapWork { op, rows, channels });
    });
}

/// Applies `op` to some rows of a map, on this thread.
///
/// # Safety
/// As [`map_rows`]; no other thread touches the rows.
pub(super) unsafe fn map_row_range(ctx: &Ctx<'_>, rows: Range<usize>, channels: usize, op: &impl MapOp) {
    ctx.isa.dispatch(MapWork { op, rows, channels });
}

/// Applies `op`, which has no per-channel operands, to a flat buffer.
///
/// # Safety
/// Views in `op` are `len` elements long, without gaps.
pub(super) unsafe fn map_flat(ctx: &Ctx<'_>, len: usize, op: &impl MapOp) {
    ctx.parallel(len, &|i| {
        let part = share(len, LINE, i, ctx.pool.threads());
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

/// The vector of `view` from `at` on.
///
/// # Safety
/// As [`Access::load`]; the elements lie inside the view.
#[inline(always)]
pub(super) unsafe fn load<V: Vector>(access: impl Access, view: Src<'_, impl Element>, at: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { element(access, view.ptr().add(at)) }
}

/// [`load`] of a type with a name.
#[inline(always)]
unsafe fn element<V: Vector, E: Element>(access: impl Access, p: *const E) -> V {
    // SAFETY: the caller's promise.
    unsafe { E::load(access, p) }
}

/// Stores `v` from `at` on.
///
/// # Safety
/// As [`Access::store`]; the elements lie inside the view.
#[inline(always)]
pub(super) unsafe fn store<V: Vector>(access: impl Access, view: Dst<'_, impl Element>, at: usize, v: V) {
    // SAFETY: the caller's promise.
    unsafe { set_element(access, v, view.ptr().add(at)) }
}

/// [`store`] of a type with a name.
#[inline(always)]
unsafe fn set_element<V: Vector, E: Element>(access: impl Access, v: V, p: *mut E) {
    // SAFETY: the caller's promise.
    unsafe { E::store(access, v, p) }
}

/// Checks that a view has the length that the step's sizes give it.
#[track_caller]
pub(super) fn expect_len(len: usize, expected: usize, what: &str) {
    assert_eq!(len, expected, "{what}: the buffer does not have the kernel's size");
}
