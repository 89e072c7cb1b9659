//! Means over whole images, and their gradient.

use crate::ctx::Ctx;
use crate::maps::{Column, ColumnOp, expect_len, for_columns};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, Vector};

/// Pixels whose sum is taken before it is added to the image's, so that large images round less.
const BLOCK: usize = 64;

/// `y = mean(x)` over pixels: `x [images, pixels, channels] -> y [images, channels]`.
pub fn global_avg_pool<E: Element>(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    x: Src<'_, E>,
    y: Dst<'_, f32>,
) {
    expect_len(x.len(), images * pixels * channels, "x");
    expect_len(y.len(), images * channels, "y");
    for_columns(ctx, [images, pixels, channels], &Mean { pixels, x, y });
}

/// `dx = dy / pixels`: `dy [images, channels] -> dx [images, pixels, channels]`.
pub fn global_avg_pool_backward<E: Element>(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    dy: Src<'_, f32>,
    dx: Dst<'_, E>,
) {
    expect_len(dx.len(), images * pixels * channels, "dx");
    expect_len(dy.len(), images * channels, "dy");
    for_columns(ctx, [images, pixels, channels], &Spread { pixels, dy, dx });
}

struct Mean<'a, E> {
    pixels: usize,
    x: Src<'a, E>,
    y: Dst<'a, f32>,
}

impl<E: Element> ColumnOp for Mean<'_, E> {
    #[inline(always)]
    fn column<V: Vector>(&self, column: Column<V, impl Access>) {
        let mut sum = column.simd.zero();
        for start in (0..self.pixels).step_by(BLOCK) {
            let mut part = column.simd.zero();
            for v in column.pixels(self.x, start..self.pixels.min(start + BLOCK)) {
                part = part.add(v);
            }
            sum = sum.add(part);
        }
        column.store(self.y, sum.div(column.simd.splat(self.pixels as f32)));
    }
}

struct Spread<'a, E> {
    pixels: usize,
    dy: Src<'a, f32>,
    dx: Dst<'a, E>,
}

impl<E: Element> ColumnOp for Spread<'_, E> {
    #[inline(always)]
    fn column<V: Vector>(&self, column: Column<V, impl Access>) {
        let part = column.load(self.dy).div(column.simd.splat(self.pixels as f32));
        for pixel in column.pixels_mut(self.dx) {
            pixel.store(part);
        }
    }
}
