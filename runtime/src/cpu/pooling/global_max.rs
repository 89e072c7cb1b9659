//! Maxima over whole images, and their gradient.

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{ColumnOp, expect_len, for_columns};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, Vector, load, store};

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
    for_columns(ctx, [images, pixels, channels], &Max { pixels, channels, x, y, positions });
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
    for_columns(ctx, [images, pixels, channels], &Scatter { pixels, channels, dy, positions, dx });
}

struct Max<'a, E> {
    pixels: usize,
    channels: usize,
    x: Src<'a, E>,
    y: Dst<'a, f32>,
    positions: Option<Dst<'a, u32>>,
}

impl<E: Element> ColumnOp for Max<'_, E> {
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize, lanes: usize) {
        let out = image * self.channels + c;
        // SAFETY: the caller's promise; no vector is longer than 16.
        unsafe {
            let (mut best, mut at) = (V::splat(f32::NEG_INFINITY), V::zero());
            for pixel in 0..self.pixels {
                let v: V = load(access, self.x, (image * self.pixels + pixel) * self.channels + c);
                at = v.if_above_or_nan(best, V::splat(pixel as f32), at);
                best = v.if_above_or_nan(best, v, best);
            }
            store(access, self.y, out, best);
            if let Some(positions) = self.positions {
                let mut whole = [0.0; 16];
                at.store(whole.as_mut_ptr());
                for (lane, &pixel) in whole[..lanes].iter().enumerate() {
                    *positions.ptr().add(out + lane) = pixel as u32;
                }
            }
        }
    }
}

struct Scatter<'a, E> {
    pixels: usize,
    channels: usize,
    dy: Src<'a, f32>,
    positions: Src<'a, u32>,
    dx: Dst<'a, E>,
}

impl<E: Element> ColumnOp for Scatter<'_, E> {
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize, lanes: usize) {
        let from = image * self.channels + c;
        // SAFETY: the caller's promise; no vector is longer than 16.
        unsafe {
            let mut whole = [0.0; 16];
            for (lane, pixel) in whole[..lanes].iter_mut().enumerate() {
                *pixel = *self.positions.ptr().add(from + lane) as f32;
            }
            let (at, dy): (V, V) = (V::load(whole.as_ptr()), load(access, self.dy, from));
            for pixel in 0..self.pixels {
                let here = at.if_equal(V::splat(pixel as f32), dy, V::zero());
                store(access, self.dx, (image * self.pixels + pixel) * self.channels + c, here);
            }
        }
    }
}
