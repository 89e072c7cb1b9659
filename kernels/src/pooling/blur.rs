//! Blurred downsampling of NHWC maps (Zhang 2019): the filter `[1, 2, 1] / 4` in both directions, borders mirrored. Forward
//! and backward both gather, by the same weights.

use std::ops::Range;

use resnetc_compiler::plan::BlurGeometry;

use super::window::{Pixel, PixelMap, PixelOp, Window, windows};
use crate::ctx::Ctx;
use crate::maps::expect_len;
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, Vector};

/// `x [n, h, w, c] -> y [n, out, out, c]`
pub fn blur_pool<E: Element>(ctx: &Ctx<'_>, g: &BlurGeometry, x: Src<'_, E>, y: Dst<'_, E>) {
    expect_lens(g, x.len(), y.len());
    windows(ctx, [g.n * g.out[0], g.out[1], g.c], &BlurPool { g, x: PixelMap::new(x, g.c), y });
}

/// `dy [n, out, out, c] -> dx [n, h, w, c]`
pub fn blur_pool_backward<E: Element>(ctx: &Ctx<'_>, g: &BlurGeometry, dy: Src<'_, E>, dx: Dst<'_, E>) {
    expect_lens(g, dx.len(), dy.len());
    windows(ctx, [g.n * g.h, g.w, g.c], &BlurPoolBackward { g, dy: PixelMap::new(dy, g.c), dx });
}

fn expect_lens(g: &BlurGeometry, input: usize, output: usize) {
    assert!(g.h >= 2 && g.w >= 2, "an image of one pixel cannot be mirrored");
    expect_len(input, g.n * g.h * g.w * g.c, "the input's map");
    expect_len(output, g.n * g.out[0] * g.out[1] * g.c, "the output's map");
}

/// Inputs that output `o` reads, along one axis of `size` pixels.
#[inline(always)]
fn inputs(size: usize, stride: usize, o: usize) -> Range<usize> {
    (o * stride).saturating_sub(1)..size.min(o * stride + 2)
}

/// Outputs that read input `i`, of `out` along one axis.
#[inline(always)]
fn outputs(out: usize, stride: usize, i: usize) -> Range<usize> {
    let end = out.min((i + 1) / stride + 1);
    i.saturating_sub(1).div_ceil(stride).min(end)..end
}

/// Weight of input `i` in an output that reads it, along one axis: its own tap, and the one beyond the border that is
/// mirrored onto it.
#[inline(always)]
fn weight(size: usize, stride: usize, i: usize, o: usize) -> f32 {
    let centre = o * stride;
    let own = if centre == i { 0.5 } else { 0.25 };
    let first = if centre == 0 && i == 1 { 0.25 } else { 0.0 };
    let last = if centre + 1 == size && i + 2 == size { 0.25 } else { 0.0 };
    own + first + last
}

struct BlurPool<'a, E> {
    g: &'a BlurGeometry,
    x: PixelMap<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> PixelOp for BlurPool<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, ox: usize) -> Window {
        let g = self.g;
        let (image, oy) = (row / g.out[0], row % g.out[0]);
        let (rows, columns) = (inputs(g.h, g.stride[0], oy), inputs(g.w, g.stride[1], ox));
        let first = (image * g.h + rows.start) * g.w + columns.start;
        Window { at: [oy, ox], rows, columns, first, step: g.w }
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let (g, [oy, ox]) = (self.g, window.at);
        let mut sum = pixel.simd.zero();
        for (iy, first) in window.lines() {
            let vertical = weight(g.h, g.stride[0], iy, oy);
            for (i, x) in pixel.line(self.x, first, window.columns.len()).enumerate() {
                let factor = vertical * weight(g.w, g.stride[1], window.columns.start + i, ox);
                sum = x.mul_add(pixel.simd.splat(factor), sum);
            }
        }
        pixel.store(self.y, 0, sum);
    }
}

struct BlurPoolBackward<'a, E> {
    g: &'a BlurGeometry,
    dy: PixelMap<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for BlurPoolBackward<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, ix: usize) -> Window {
        let g = self.g;
        let (image, iy) = (row / g.h, row % g.h);
        let (rows, columns) = (outputs(g.out[0], g.stride[0], iy), outputs(g.out[1], g.stride[1], ix));
        let first = (image * g.out[0] + rows.start) * g.out[1] + columns.start;
        Window { at: [iy, ix], rows, columns, first, step: g.out[1] }
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let (g, [iy, ix]) = (self.g, window.at);
        let mut sum = pixel.simd.zero();
        for (oy, first) in window.lines() {
            let vertical = weight(g.h, g.stride[0], iy, oy);
            for (i, dy) in pixel.line(self.dy, first, window.columns.len()).enumerate() {
                let factor = vertical * weight(g.w, g.stride[1], ix, window.columns.start + i);
                sum = dy.mul_add(pixel.simd.splat(factor), sum);
            }
        }
        pixel.store(self.dx, 0, sum);
    }
}
