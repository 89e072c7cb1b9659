//! Pooling over windows of NHWC maps. Forward and backward both gather: a thread owns rows of the result, so there is
//! no race, no zeroing pass, and the order of additions does not depend on the number of threads.

use std::ops::Range;

use resnetc_compiler::plan::PoolGeometry;

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{expect_len, spanned};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, First, Full, Vector, Work, load, store};
use crate::cpu::threads::chunk;

/// Maxima of the windows and, if wanted, their positions in them (row-major, the border included). Of equal values the
/// first counts; a NaN is larger than everything, the last of several being taken, as in PyTorch. Between the pixels of
/// `y` there may be a gap.
pub fn max_pool<E: Element>(
    ctx: &Ctx<'_>,
    g: &PoolGeometry,
    x: Src<'_, E>,
    y: Dst<'_, E>,
    gap: usize,
    positions: Option<Dst<'_, u8>>,
) {
    let pixels = g.n * g.out[0] * g.out[1];
    expect_lens(g, x.len(), pixels * g.c);
    expect_len(y.len(), spanned(pixels, g.c, gap), "the output's map");
    expect_len(positions.map_or(pixels * g.c, Dst::len), pixels * g.c, "positions");
    let rows = [g.n * g.out[0], g.out[1], g.c];
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, rows, &MaxPool { g, x, y, gap, positions }) }
}

/// Every `dy` goes to where its maximum was.
pub fn max_pool_backward<E: Element>(
    ctx: &Ctx<'_>,
    g: &PoolGeometry,
    dy: Src<'_, E>,
    positions: Src<'_, u8>,
    dx: Dst<'_, E>,
) {
    expect_lens(g, dx.len(), dy.len());
    expect_len(positions.len(), dy.len(), "positions");
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, [g.n * g.h, g.w, g.c], &MaxPoolBackward { g, dy, positions, dx }) }
}

/// Means of the windows, divided as `divisor` says. Between the pixels of `y` there may be a gap.
pub fn avg_pool<E: Element>(ctx: &Ctx<'_>, g: &PoolGeometry, x: Src<'_, E>, y: Dst<'_, E>, gap: usize) {
    let pixels = g.n * g.out[0] * g.out[1];
    expect_lens(g, x.len(), pixels * g.c);
    expect_len(y.len(), spanned(pixels, g.c, gap), "the output's map");
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, [g.n * g.out[0], g.out[1], g.c], &AvgPool { g, x, y, gap }) }
}

/// Every `dy` goes to all pixels of its window in equal parts.
pub fn avg_pool_backward<E: Element>(ctx: &Ctx<'_>, g: &PoolGeometry, dy: Src<'_, E>, dx: Dst<'_, E>) {
    expect_lens(g, dx.len(), dy.len());
    // SAFETY: the lengths have been checked.
    unsafe { windows(ctx, [g.n * g.h, g.w, g.c], &AvgPoolBackward { g, dy, dx }) }
}

fn expect_lens(g: &PoolGeometry, input: usize, output: usize) {
    expect_len(input, g.n * g.h * g.w * g.c, "the input's map");
    expect_len(output, g.n * g.out[0] * g.out[1] * g.c, "the output's map");
}

/// Computes one vector of channels of one pixel of the result.
///
/// # Safety
/// Dispatched as [`Vector`] demands; `row < n * rows`, `column` and `c` are inside the result, `access` reaches no channel
/// beyond the last, and no other thread writes there.
pub(super) trait PixelOp: Sync {
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, column: usize, c: usize);
}

/// Calls `op` for all of the result `[rows of all images, columns, channels]`, each thread for its share of the rows.
///
/// # Safety
/// Views in `op` have the lengths that its geometry gives them.
pub(super) unsafe fn windows(ctx: &Ctx<'_>, [rows, columns, channels]: [usize; 3], op: &impl PixelOp) {
    ctx.parallel(rows * columns * channels, &|thread| {
        let rows = chunk(rows, 1, thread, ctx.threads.count());
        ctx.isa.dispatch(PixelWork { op, rows, columns, channels });
    });
}

struct PixelWork<'a, O> {
    op: &'a O,
    rows: Range<usize>,
    columns: usize,
    channels: usize,
}

impl<O: PixelOp> Work for PixelWork<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let whole = self.channels - self.channels % V::LANES;
        for row in self.rows {
            for column in 0..self.columns {
                // SAFETY: the row is this thread's; all channels are covered once.
                unsafe {
                    for c in (0..whole).step_by(V::LANES) {
                        self.op.pixel::<V>(Full, row, column, c);
                    }
                    if whole < self.channels {
                        self.op.pixel::<V>(First(self.channels - whole), row, column, whole);
                    }
                }
            }
        }
    }
}

/// Taps of the window at output `o` that lie in the image, in one dimension.
#[inline(always)]
fn taps(g: &PoolGeometry, d: usize, size: usize, o: usize) -> Range<usize> {
    let start = o * g.attrs.stride[d];
    let end = (size + g.attrs.padding[d]).saturating_sub(start).min(g.attrs.kernel[d]);
    g.attrs.padding[d].saturating_sub(start).min(end)..end
}

/// Outputs whose windows contain input `i`, in one dimension.
#[inline(always)]
fn outputs(g: &PoolGeometry, d: usize, i: usize) -> Range<usize> {
    let (at, stride) = (i + g.attrs.padding[d], g.attrs.stride[d]);
    let end = (at / stride + 1).min(g.out[d]);
    let start = (at + 1).saturating_sub(g.attrs.kernel[d]).div_ceil(stride);
    start.min(end)..end
}

/// What the sum of the window at output `[oy, ox]` is divided by: its pixels in the image, or, with `count_padding`, in the
/// image and its border. A last, incomplete window reaches beyond even that, and what is beyond never counts.
#[inline(always)]
fn divisor(g: &PoolGeometry, oy: usize, ox: usize) -> f32 {
    let extent = |d: usize, size: usize, o: usize| {
        if g.attrs.count_padding {
            let start = o * g.attrs.stride[d];
            (size + 2 * g.attrs.padding[d]).saturating_sub(start).min(g.attrs.kernel[d])
        } else {
            taps(g, d, size, o).len()
        }
    };
    (extent(0, g.h, oy) * extent(1, g.w, ox)) as f32
}

struct MaxPool<'a, E> {
    g: &'a PoolGeometry,
    x: Src<'a, E>,
    y: Dst<'a, E>,
    gap: usize,
    positions: Option<Dst<'a, u8>>,
}

impl<E: Element> PixelOp for MaxPool<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ox: usize, c: usize) {
        let g = self.g;
        let (image, oy) = (row / g.out[0], row % g.out[0]);
        let (tys, txs) = (taps(g, 0, g.h, oy), taps(g, 1, g.w, ox));
        // SAFETY: the taps are inside the image; the rest is the caller's promise.
        unsafe {
            let mut best = V::splat(f32::NEG_INFINITY);
            let mut at = V::splat((tys.start * g.attrs.kernel[1] + txs.start) as f32);
            for ty in tys {
                let line = (image * g.h + oy * g.attrs.stride[0] + ty - g.attrs.padding[0]) * g.w;
                for tx in txs.clone() {
                    let pixel = line + ox * g.attrs.stride[1] + tx - g.attrs.padding[1];
                    let v: V = load(access, self.x, pixel * g.c + c);
                    let position = V::splat((ty * g.attrs.kernel[1] + tx) as f32);
                    at = v.if_above_or_nan(best, position, at);
                    best = v.if_above_or_nan(best, v, best);
                }
            }
            let out = row * g.out[1] + ox;
            store(access, self.y, out * (g.c + self.gap) + c, best);
            if let Some(positions) = self.positions {
                access.store_bytes(at, positions.ptr().add(out * g.c + c));
            }
        }
    }
}

struct MaxPoolBackward<'a, E> {
    g: &'a PoolGeometry,
    dy: Src<'a, E>,
    positions: Src<'a, u8>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for MaxPoolBackward<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ix: usize, c: usize) {
        let g = self.g;
        let (image, iy) = (row / g.h, row % g.h);
        let (oys, oxs) = (outputs(g, 0, iy), outputs(g, 1, ix));
        // SAFETY: the outputs are inside the map; the rest is the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for oy in oys {
                let ty = iy + g.attrs.padding[0] - oy * g.attrs.stride[0];
                for ox in oxs.clone() {
                    let tx = ix + g.attrs.padding[1] - ox * g.attrs.stride[1];
                    let from = ((image * g.out[0] + oy) * g.out[1] + ox) * g.c + c;
                    let position: V = access.load_bytes(self.positions.ptr().add(from));
                    let here = V::splat((ty * g.attrs.kernel[1] + tx) as f32);
                    let dy: V = load(access, self.dy, from);
                    sum = sum.add(position.if_equal(here, dy, V::zero()));
                }
            }
            store(access, self.dx, (row * g.w + ix) * g.c + c, sum);
        }
    }
}

struct AvgPool<'a, E> {
    g: &'a PoolGeometry,
    x: Src<'a, E>,
    y: Dst<'a, E>,
    gap: usize,
}

impl<E: Element> PixelOp for AvgPool<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ox: usize, c: usize) {
        let g = self.g;
        let (image, oy) = (row / g.out[0], row % g.out[0]);
        let txs = taps(g, 1, g.w, ox);
        // SAFETY: the taps are inside the image; the rest is the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for ty in taps(g, 0, g.h, oy) {
                let line = (image * g.h + oy * g.attrs.stride[0] + ty - g.attrs.padding[0]) * g.w;
                // One sum per line of the window, so that large windows round less.
                let mut part = V::zero();
                for tx in txs.clone() {
                    let pixel = line + ox * g.attrs.stride[1] + tx - g.attrs.padding[1];
                    part = part.add(load(access, self.x, pixel * g.c + c));
                }
                sum = sum.add(part);
            }
            let mean = sum.div(V::splat(divisor(g, oy, ox)));
            store(access, self.y, (row * g.out[1] + ox) * (g.c + self.gap) + c, mean);
        }
    }
}

struct AvgPoolBackward<'a, E> {
    g: &'a PoolGeometry,
    dy: Src<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for AvgPoolBackward<'_, E> {
    #[inline(always)]
    unsafe fn pixel<V: Vector>(&self, access: impl Access, row: usize, ix: usize, c: usize) {
        let g = self.g;
        let (image, iy) = (row / g.h, row % g.h);
        let oxs = outputs(g, 1, ix);
        // SAFETY: the outputs are inside the map; the rest is the caller's promise.
        unsafe {
            let mut sum = V::zero();
            for oy in outputs(g, 0, iy) {
                for ox in oxs.clone() {
                    let from = ((image * g.out[0] + oy) * g.out[1] + ox) * g.c + c;
                    let share = V::splat(1.0 / divisor(g, oy, ox));
                    sum = load::<V>(access, self.dy, from).mul_add(share, sum);
                }
            }
            store(access, self.dx, (row * g.w + ix) * g.c + c, sum);
        }
    }
}
