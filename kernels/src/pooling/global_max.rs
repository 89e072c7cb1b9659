//! Maxima over whole images, and their gradient.

use crate::ctx::Ctx;
use crate::maps::{Column, ColumnOp, expect_len, for_columns};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, MAX_LANES, Vector};

/// Pixels up to here are whole numbers in `f32`.
const MAX_PIXELS: usize = 1 << 24;

/// `x [images, pixels, channels] -> y [images, channels]` and, if wanted, each maximum's pixel. Of equal values the first
/// counts; a NaN is larger than everything, the last of several being taken, as in PyTorch.
///
/// # Panics
/// When the views are not of these lengths, or an image has more pixels than `f32` counts.
pub fn global_max_pool<E: Element>(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    x: Src<'_, E>,
    y: Dst<'_, f32>,
    positions: Option<Dst<'_, u32>>,
) {
    assert!(pixels <= MAX_PIXELS, "too many pixels to count in f32");
    expect_len(x.len(), images * pixels * channels, "x");
    expect_len(y.len(), images * channels, "y");
    expect_len(positions.map_or(y.len(), Dst::len), y.len(), "positions");
    for_columns(ctx, [images, pixels, channels], &Max { pixels, x, y, positions });
}

/// Every `dy` goes to its maximum's pixel: `dy [images, channels] -> dx [images, pixels, channels]`.
///
/// # Panics
/// As [`global_max_pool`].
pub fn global_max_pool_backward<E: Element>(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    dy: Src<'_, f32>,
    positions: Src<'_, u32>,
    dx: Dst<'_, E>,
) {
    assert!(pixels <= MAX_PIXELS, "too many pixels to count in f32");
    expect_len(dx.len(), images * pixels * channels, "dx");
    expect_len(dy.len(), images * channels, "dy");
    expect_len(positions.len(), dy.len(), "positions");
    for_columns(ctx, [images, pixels, channels], &Scatter { dy, positions, dx });
}

struct Max<'a, E> {
    pixels: usize,
    x: Src<'a, E>,
    y: Dst<'a, f32>,
    positions: Option<Dst<'a, u32>>,
}

impl<E: Element> ColumnOp for Max<'_, E> {
    #[inline(always)]
    fn column<V: Vector>(&self, column: Column<V, impl Access>) {
        let simd = column.simd;
        let (mut best, mut at) = (simd.splat(f32::NEG_INFINITY), simd.zero());
        for (pixel, v) in column.pixels(self.x, 0..self.pixels).enumerate() {
            at = v.if_above_or_nan(best, simd.splat(pixel as f32), at);
            best = v.if_above_or_nan(best, v, best);
        }
        column.store(self.y, best);
        if let Some(positions) = self.positions {
            // SAFETY: the column is this thread's.
            let positions = unsafe { positions.slice(column.range()) };
            positions.iter_mut().zip(at.lanes()).for_each(|(position, at)| *position = at as u32);
        }
    }
}

struct Scatter<'a, E> {
    dy: Src<'a, f32>,
    positions: Src<'a, u32>,
    dx: Dst<'a, E>,
}

impl<E: Element> ColumnOp for Scatter<'_, E> {
    #[inline(always)]
    fn column<V: Vector>(&self, column: Column<V, impl Access>) {
        let simd = column.simd;
        // SAFETY: nothing writes positions.
        let positions = unsafe { self.positions.part(column.range()).slice() };
        let mut lanes = [0.0; MAX_LANES];
        lanes.iter_mut().zip(positions).for_each(|(lane, &position)| *lane = position as f32);
        let (at, dy) = (simd.from_lanes(&lanes), column.load(self.dy));
        for (pixel, slot) in column.pixels_mut(self.dx).enumerate() {
            slot.store(at.if_equal(simd.splat(pixel as f32), dy, simd.zero()));
        }
    }
}
