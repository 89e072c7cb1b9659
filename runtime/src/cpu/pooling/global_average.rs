//! Means over whole images, and their gradient.

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{ColumnOp, expect_len, for_columns};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, Vector, load, store};

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
    for_columns(ctx, [images, pixels, channels], &Mean { pixels, channels, x, y });
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
    for_columns(ctx, [images, pixels, channels], &Spread { pixels, channels, dy, dx });
}

struct Mean<'a, E> {
    pixels: usize,
    channels: usize,
    x: Src<'a, E>,
    y: Dst<'a, f32>,
}

impl<E: Element> ColumnOp for Mean<'_, E> {
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize, _lanes: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for start in (0..self.pixels).step_by(BLOCK) {
                let mut part = V::zero();
                for pixel in start..self.pixels.min(start + BLOCK) {
                    let at = (image * self.pixels + pixel) * self.channels + c;
                    part = part.add(load(access, self.x, at));
                }
                sum = sum.add(part);
            }
            let mean = sum.div(V::splat(self.pixels as f32));
            store(access, self.y, image * self.channels + c, mean);
        }
    }
}

struct Spread<'a, E> {
    pixels: usize,
    channels: usize,
    dy: Src<'a, f32>,
    dx: Dst<'a, E>,
}

impl<E: Element> ColumnOp for Spread<'_, E> {
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize, _lanes: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let dy: V = load(access, self.dy, image * self.channels + c);
            let part = dy.div(V::splat(self.pixels as f32));
            for pixel in 0..self.pixels {
                store(access, self.dx, (image * self.pixels + pixel) * self.channels + c, part);
            }
        }
    }
}
