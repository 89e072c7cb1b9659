//! Pooling over windows of NHWC maps. Forward and backward both gather: a thread owns rows of the result, so there is
//! no race, no zeroing pass, and the order of additions does not depend on the number of threads.

use std::ops::Range;

use resnetc_compiler::plan::PoolGeometry;

use crate::ctx::Ctx;
use crate::maps::{Strided, expect_len, spanned};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, First, Full, Simd, Vector, Work};
use crate::threads::chunk;

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
    windows(ctx, rows, &MaxPool { g, x: PixelMap::new(x, g.c), y, gap, positions });
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
    let (dy, positions) = (PixelMap::new(dy, g.c), PixelMap::new(positions, g.c));
    windows(ctx, [g.n * g.h, g.w, g.c], &MaxPoolBackward { g, dy, positions, dx });
}

/// Means of the windows, divided as `divisor` says. Between the pixels of `y` there may be a gap.
pub fn avg_pool<E: Element>(ctx: &Ctx<'_>, g: &PoolGeometry, x: Src<'_, E>, y: Dst<'_, E>, gap: usize) {
    let pixels = g.n * g.out[0] * g.out[1];
    expect_lens(g, x.len(), pixels * g.c);
    expect_len(y.len(), spanned(pixels, g.c, gap), "the output's map");
    windows(ctx, [g.n * g.out[0], g.out[1], g.c], &AvgPool { g, x: PixelMap::new(x, g.c), y, gap });
}

/// Every `dy` goes to all pixels of its window in equal parts.
pub fn avg_pool_backward<E: Element>(ctx: &Ctx<'_>, g: &PoolGeometry, dy: Src<'_, E>, dx: Dst<'_, E>) {
    expect_lens(g, dx.len(), dy.len());
    windows(ctx, [g.n * g.h, g.w, g.c], &AvgPoolBackward { g, dy: PixelMap::new(dy, g.c), dx });
}

fn expect_lens(g: &PoolGeometry, input: usize, output: usize) {
    expect_len(input, g.n * g.h * g.w * g.c, "the input's map");
    expect_len(output, g.n * g.out[0] * g.out[1] * g.c, "the output's map");
}

/// Computes one vector of channels of one pixel of the result.
pub(super) trait PixelOp: Sync {
    /// What a pixel of the result, in a row counted through all images, is made of: the same for all channels.
    fn window(&self, row: usize, column: usize) -> Window;

    /// Computes and stores it.
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>);
}

/// The rectangle of a map that a pixel of the result is made of.
pub(super) struct Window {
    /// Row and column of the result's pixel in its image.
    pub at: [usize; 2],
    /// Rows of the rectangle, as the operation counts them.
    pub rows: Range<usize>,
    /// Columns likewise.
    pub columns: Range<usize>,
    /// Its first pixel in the map.
    pub first: usize,
    /// Pixels of the map from row to row.
    pub step: usize,
}

impl Window {
    /// The rows, and the map's pixel where each begins.
    #[inline(always)]
    pub fn lines(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.clone().map(|row| (row, self.first + (row - self.rows.start) * self.step))
    }
}

/// A map to be read pixel by pixel.
#[derive(Clone, Copy)]
pub(super) struct PixelMap<'a, E> {
    view: Src<'a, E>,
    channels: usize,
    pixels: usize,
}

impl<'a, E: Element> PixelMap<'a, E> {
    /// A map of so many channels.
    pub fn new(view: Src<'a, E>, channels: usize) -> Self {
        PixelMap { view, channels, pixels: view.len() / channels.max(1) }
    }
}

/// A vector of channels of one pixel of the result. It is its thread's alone, so there may be one value only for each.
pub(super) struct Pixel<V, A> {
    /// What makes vectors.
    pub simd: Simd<V>,
    access: A,
    /// Of the pixels of the result.
    place: usize,
    c: usize,
    /// Of the result.
    channels: usize,
}

impl<V: Vector, A: Access> Pixel<V, A> {
    /// The vectors of the same channels of `count` pixels of a map, from `first` on.
    ///
    /// # Panics
    /// When it has fewer, or other channels than the result.
    #[inline(always)]
    pub fn line<'a, E: Element>(
        &self,
        map: PixelMap<'a, E>,
        first: usize,
        count: usize,
    ) -> Strided<'a, V, A, E> {
        let channels = self.channels;
        assert!(map.channels == channels, "a map has other channels than the result");
        assert!(first <= map.pixels && count <= map.pixels - first, "a map has too few pixels");
        // SAFETY: the pixels are inside, and their channels from `c` on, as many as the result has there.
        unsafe {
            Strided::new(self.simd, self.access, map.view, [first * channels + self.c, channels, count])
        }
    }

    /// Stores the result in a map with a gap between its pixels.
    ///
    /// # Panics
    /// When it has no such pixel.
    #[inline(always)]
    pub fn store<E: Element>(&self, map: Dst<'_, E>, gap: usize, v: V) {
        let first = self.place * (self.channels + gap) + self.c;
        let place = map.part(first..first + self.access.count::<V>());
        // SAFETY: as many elements; the pixel is this thread's.
        unsafe { self.access.store(v, place.ptr()) }
    }
}

/// Calls `op` for all of the result `[rows of all images, columns, channels]`, each thread for its share of the rows.
pub(super) fn windows(ctx: &Ctx<'_>, [rows, columns, channels]: [usize; 3], op: &impl PixelOp) {
    ctx.parallel(rows * columns * channels, &|thread| {
        let rows = chunk(rows, 1, thread, ctx.threads.count());
        ctx.isa.dispatch(PixelWork { op, rows, size: [columns, channels] });
    });
}

struct PixelWork<'a, O> {
    op: &'a O,
    rows: Range<usize>,
    /// Columns and channels.
    size: [usize; 2],
}

impl<O: PixelOp> Work for PixelWork<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let [columns, channels] = self.size;
        let whole = channels - channels % V::LANES;
        for row in self.rows {
            for column in 0..columns {
                let window = self.op.window(row, column);
                let place = row * columns + column;
                for c in (0..whole).step_by(V::LANES) {
                    self.op.pixel(&window, Pixel { simd, access: Full, place, c, channels });
                }
                if whole < channels {
                    let access = First::new::<V>(channels - whole);
                    self.op.pixel(&window, Pixel { simd, access, place, c: whole, channels });
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

/// The taps that are in the image, of the window at an output in row `row` of all images.
#[inline(always)]
fn input_window(g: &PoolGeometry, row: usize, ox: usize) -> Window {
    let (image, oy) = (row / g.out[0], row % g.out[0]);
    let (rows, columns) = (taps(g, 0, g.h, oy), taps(g, 1, g.w, ox));
    let iy = oy * g.attrs.stride[0] + rows.start - g.attrs.padding[0];
    let ix = ox * g.attrs.stride[1] + columns.start - g.attrs.padding[1];
    Window { at: [oy, ox], rows, columns, first: (image * g.h + iy) * g.w + ix, step: g.w }
}

/// The outputs whose windows contain an input in row `row` of all images.
#[inline(always)]
fn output_window(g: &PoolGeometry, row: usize, ix: usize) -> Window {
    let (image, iy) = (row / g.h, row % g.h);
    let (rows, columns) = (outputs(g, 0, iy), outputs(g, 1, ix));
    let first = (image * g.out[0] + rows.start) * g.out[1] + columns.start;
    Window { at: [iy, ix], rows, columns, first, step: g.out[1] }
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
    x: PixelMap<'a, E>,
    y: Dst<'a, E>,
    gap: usize,
    positions: Option<Dst<'a, u8>>,
}

impl<E: Element> PixelOp for MaxPool<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, column: usize) -> Window {
        input_window(self.g, row, column)
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let (width, columns) = (self.g.attrs.kernel[1], &window.columns);
        let mut best = pixel.simd.splat(f32::NEG_INFINITY);
        let mut at = pixel.simd.splat((window.rows.start * width + columns.start) as f32);
        for (ty, first) in window.lines() {
            for (tx, v) in pixel.line(self.x, first, columns.len()).enumerate() {
                let position = pixel.simd.splat((ty * width + columns.start + tx) as f32);
                at = v.if_above_or_nan(best, position, at);
                best = v.if_above_or_nan(best, v, best);
            }
        }
        pixel.store(self.y, self.gap, best);
        if let Some(positions) = self.positions {
            pixel.store(positions, 0, at);
        }
    }
}

struct MaxPoolBackward<'a, E> {
    g: &'a PoolGeometry,
    dy: PixelMap<'a, E>,
    positions: PixelMap<'a, u8>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for MaxPoolBackward<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, column: usize) -> Window {
        output_window(self.g, row, column)
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let (a, simd, columns) = (&self.g.attrs, pixel.simd, &window.columns);
        let [iy, ix] = [0, 1].map(|i| window.at[i] + a.padding[i]);
        let mut sum = simd.zero();
        for (oy, first) in window.lines() {
            let ty = iy - oy * a.stride[0];
            let positions = pixel.line(self.positions, first, columns.len());
            let gradients = pixel.line(self.dy, first, columns.len());
            for (i, (position, dy)) in positions.zip(gradients).enumerate() {
                let tx = ix - (columns.start + i) * a.stride[1];
                let here = simd.splat((ty * a.kernel[1] + tx) as f32);
                sum = sum.add(position.if_equal(here, dy, simd.zero()));
            }
        }
        pixel.store(self.dx, 0, sum);
    }
}

struct AvgPool<'a, E> {
    g: &'a PoolGeometry,
    x: PixelMap<'a, E>,
    y: Dst<'a, E>,
    gap: usize,
}

impl<E: Element> PixelOp for AvgPool<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, column: usize) -> Window {
        input_window(self.g, row, column)
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let mut sum = pixel.simd.zero();
        for (_, first) in window.lines() {
            // One sum per line of the window, so that large windows round less.
            let mut part = pixel.simd.zero();
            for v in pixel.line(self.x, first, window.columns.len()) {
                part = part.add(v);
            }
            sum = sum.add(part);
        }
        let [oy, ox] = window.at;
        pixel.store(self.y, self.gap, sum.div(pixel.simd.splat(divisor(self.g, oy, ox))));
    }
}

struct AvgPoolBackward<'a, E> {
    g: &'a PoolGeometry,
    dy: PixelMap<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> PixelOp for AvgPoolBackward<'_, E> {
    #[inline(always)]
    fn window(&self, row: usize, column: usize) -> Window {
        output_window(self.g, row, column)
    }

    #[inline(always)]
    fn pixel<V: Vector>(&self, window: &Window, pixel: Pixel<V, impl Access>) {
        let mut sum = pixel.simd.zero();
        for (oy, first) in window.lines() {
            for (i, dy) in pixel.line(self.dy, first, window.columns.len()).enumerate() {
                let part = pixel.simd.splat(1.0 / divisor(self.g, oy, window.columns.start + i));
                sum = dy.mul_add(part, sum);
            }
        }
        pixel.store(self.dx, 0, sum);
    }
}
