//! Blurred downsampling of NHWC maps (Zhang 2019): the filter `[1, 2, 1] / 4` in both directions, borders mirrored. Forward
//! and backward both gather, by the same weights.

use std::ops::Range;

use resnetc_compiler::plan::BlurGeometry;

use super::window::{PixelOp, windows};
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::expect_len;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, Vector, load, store};

/// `x [n, h, w, c] -> y [n, out, out, c]`
pub fn blur_pool<E: Element>(ctx: &Ctx<'_>, g: &BlurGeometry, x: Src<'_, E>, y: Dst<'_, E>) {
    expect_lens(g, x.len(), y.len());
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, [g.n * g.out[0], g.out[1], g.c], &BlurPool { g, x, y }) }
}

/// `dy [n, out, out, c] -> dx [n, h, w, c]`
pub fn blur_pool_backward<E: Element>(ctx: &Ctx<'_>, g: &BlurGeometry, dy: Src<'_, E>, dx: Dst<'_, E>) {
    expect_lens(g, dx.len(), dy.len());
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, [g.n * g.h, g.w, g.c], &BlurPoolBackward { g, dy, dx }) }
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
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> PixelOp for BlurPool<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ox: usize, c: usize) {
        let g = self.g;
        let (image, oy) = (row / g.out[0], row % g.out[0]);
        // SAFETY: the inputs are inside the image; the rest is the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for iy in inputs(g.h, g.stride[0], oy) {
                let vertical = weight(g.h, g.stride[0], iy, oy);
                for ix in inputs(g.w, g.stride[1], ox) {
                    let factor = V::splat(vertical * weight(g.w, g.stride[1], ix, ox));
                    let from = ((image * g.h + iy) * g.w + ix) * g.c + c;
                    sum = load::<V>(access, self.x, from).mul_add(factor, sum);
                }
            }
            store(access, self.y, (row * g.out[1] + ox) * g.c + c, sum);
        }
    }
}

struct BlurPoolBackward<'a, E> {
    g: &'a BlurGeometry,
    dy: Src<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for BlurPoolBackward<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ix: usize, c: usize) {
        let g = self.g;
        let (image, iy) = (row / g.h, row % g.h);
        // SAFETY: the outputs are inside the map; the rest is the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for oy in outputs(g.out[0], g.stride[0], iy) {
                let vertical = weight(g.h, g.stride[0], iy, oy);
                for ox in outputs(g.out[1], g.stride[1], ix) {
                    let factor = V::splat(vertical * weight(g.w, g.stride[1], ix, ox));
                    let from = ((image * g.out[0] + oy) * g.out[1] + ox) * g.c + c;
                    sum = load::<V>(access, self.dy, from).mul_add(factor, sum);
                }
            }
            store(access, self.dx, (row * g.w + ix) * g.c + c, sum);
        }
    }
}
