//! Means over whole images, and their gradient.

use std::ops::Range;

use crate::cpu::Ctx;
use crate::cpu::isa::Work;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stream::{Access, First, Full, expect_len, load, store};
use crate::cpu::vector::Vector;

/// Pixels whose sum is taken before it is added to the image's, so that large images round less.
const BLOCK: usize = 64;

/// `y = mean(x)` over pixels: `x [images, pixels, channels] -> y [images, channels]`.
pub fn global_avg_pool(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    x: Src<'_, f32>,
    y: Dst<'_, f32>,
) {
    expect_len(x.len(), images * pixels * channels, "x");
    expect_len(y.len(), images * channels, "y");
    ctx.parallel(x.len(), &|thread| {
        let columns = Columns::share(ctx, images, channels, thread);
        ctx.isa.dispatch(Mean { columns, pixels, channels, x, y });
    });
}

/// `dx = dy / pixels`: `dy [images, channels] -> dx [images, pixels, channels]`.
pub fn global_avg_pool_backward(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    dy: Src<'_, f32>,
    dx: Dst<'_, f32>,
) {
    expect_len(dx.len(), images * pixels * channels, "dx");
    expect_len(dy.len(), images * channels, "dy");
    ctx.parallel(dx.len(), &|thread| {
        let columns = Columns::share(ctx, images, channels, thread);
        ctx.isa.dispatch(Spread { columns, pixels, channels, dy, dx });
    });
}

/// One thread's part of `[images, vectors of channels]`, counted through: a single image is split too.
pub(super) struct Columns {
    /// Columns of this thread.
    pub range: Range<usize>,
    /// Columns of an image.
    pub per_image: usize,
    lanes: usize,
}

impl Columns {
    pub fn share(ctx: &Ctx<'_>, images: usize, channels: usize, thread: usize) -> Self {
        let lanes = ctx.isa.lanes();
        let per_image = channels.div_ceil(lanes);
        let range = share(images * per_image, 1, thread, ctx.pool.threads());
        Columns { range, per_image, lanes }
    }

    /// `(image, first channel)` of column `i`.
    #[inline(always)]
    pub fn place(&self, i: usize) -> (usize, usize) {
        (i / self.per_image, i % self.per_image * self.lanes)
    }
}

struct Mean<'a> {
    columns: Columns,
    pixels: usize,
    channels: usize,
    x: Src<'a, f32>,
    y: Dst<'a, f32>,
}

impl Mean<'_> {
    /// # Safety
    /// Dispatched as [`Vector`] demands; the image and the channels from `c` on exist and are this thread's.
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize) {
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

impl Work for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for i in self.columns.range.clone() {
            let (image, c) = self.columns.place(i);
            let left = self.channels - c;
            // SAFETY: the column is this thread's; no channel beyond the last is touched.
            unsafe {
                if left < V::LANES {
                    self.column::<V>(First(left), image, c);
                } else {
                    self.column::<V>(Full, image, c);
                }
            }
        }
    }
}

struct Spread<'a> {
    columns: Columns,
    pixels: usize,
    channels: usize,
    dy: Src<'a, f32>,
    dx: Dst<'a, f32>,
}

impl Spread<'_> {
    /// # Safety
    /// Dispatched as [`Vector`] demands; the image and the channels from `c` on exist and are this thread's.
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize) {
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

impl Work for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for i in self.columns.range.clone() {
            let (image, c) = self.columns.place(i);
            let left = self.channels - c;
            // SAFETY: the column is this thread's; no channel beyond the last is touched.
            unsafe {
                if left < V::LANES {
                    self.column::<V>(First(left), image, c);
                } else {
                    self.column::<V>(Full, image, c);
                }
            }
        }
    }
}
