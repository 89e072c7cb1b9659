//! Dropout, stochastic depth, DropBlock: what is dropped follows from [`Key`] and the element's index alone, so it depends
//! neither on the number of threads nor on the instruction set.

use std::sync::atomic::{AtomicUsize, Ordering};

use resnetc_compiler::ir::op::DropPart;
use resnetc_compiler::plan::DropGeometry;

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, expect_len, map_flat, map_row_range};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, Vector, load, store};
use crate::cpu::threads::chunk;
use crate::random::{Key, blocks, threshold};

/// Floats of scratch memory for [`drop`]: a byte per element, where blocks are dropped.
pub fn drop_scratch_len(g: &DropGeometry, part: DropPart) -> usize {
    match part {
        DropPart::Element | DropPart::Image => 0,
        DropPart::Block { .. } => (g.n * g.h * g.w * g.c).div_ceil(size_of::<f32>()),
    }
}

/// `y = x` with what is dropped set to zero and the rest scaled; `y` may be `x`.
pub fn drop<E: Element>(
    ctx: &Ctx<'_>,
    g: &DropGeometry,
    part: DropPart,
    rate: f32,
    key: Key,
    x: Src<'_, E>,
    y: Dst<'_, E>,
) {
    let len = g.n * g.h * g.w * g.c;
    expect_len(x.len(), len, "x");
    expect_len(y.len(), len, "y");
    let (limit, kept) = (threshold(f64::from(rate)), 1.0 / (1.0 - rate));
    match part {
        // SAFETY: equal lengths.
        DropPart::Element => unsafe { map_flat(ctx, len, &Elements { key, limit, kept, x, y }) },
        DropPart::Image => images(ctx, g, |image| if key.hits(image, limit) { 0.0 } else { kept }, x, y),
        DropPart::Block { size } => {
            let mask = mask_blocks(ctx, g, size, rate, key);
            // SAFETY: equal lengths; the mask is as long, and no longer written.
            unsafe { map_flat(ctx, len, &Masked { mask: mask.bytes, scale: mask.scale, x, y }) }
        }
    }
}

struct Elements<'a, E> {
    key: Key,
    limit: u32,
    /// Factor of what is kept.
    kept: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp for Elements<'_, E> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), _: usize, at: usize) {
        let mut factors = [0.0; 16];
        for (lane, factor) in factors[..V::LANES].iter_mut().enumerate() {
            *factor = if self.key.hits(at.wrapping_add(lane), self.limit) { 0.0 } else { self.kept };
        }
        // SAFETY: the caller's promise; no vector is longer than 16.
        unsafe { store(access, self.y, at, load::<V>(access, self.x, at).mul(V::load(factors.as_ptr()))) }
    }
}

/// Multiplies every image by its factor.
fn images<E: Element>(
    ctx: &Ctx<'_>,
    g: &DropGeometry,
    factor: impl Fn(usize) -> f32 + Sync,
    x: Src<'_, E>,
    y: Dst<'_, E>,
) {
    let pixels = g.h * g.w;
    ctx.parallel(y.len(), &|thread| {
        let rows = chunk(g.n * pixels, 1, thread, ctx.threads.count());
        for image in rows.start / pixels..rows.end.div_ceil(pixels) {
            let rows = rows.start.max(image * pixels)..rows.end.min((image + 1) * pixels);
            // SAFETY: the rows are this thread's; `drop` has checked the lengths.
            unsafe { map_row_range(ctx, rows, g.c, &Scaled { factor: factor(image), x, y }) };
        }
    });
}

struct Scaled<'a, E> {
    factor: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp for Scaled<'_, E> {
    type Channel<V: Vector> = V;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::splat(self.factor) }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, factor: V, _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { store(access, self.y, at, load::<V>(access, self.x, at).mul(factor)) }
    }
}

/// Which elements are kept, and the factor of those.
struct Mask {
    /// 1 for what is kept, else 0; in scratch memory.
    bytes: *const u8,
    scale: f32,
}

/// Draws the squares. Each thread has whole images, so none writes into another's; the counts are whole numbers, whose sum
/// has no order.
fn mask_blocks(ctx: &Ctx<'_>, g: &DropGeometry, size: usize, rate: f32, key: Key) -> Mask {
    let per_image = g.h * g.w * g.c;
    let len = g.n * per_image;
    let wanted = DropPart::Block { size };
    assert!(ctx.scratch.len() >= drop_scratch_len(g, wanted), "scratch memory is smaller than asked for");
    let scratch = ctx.scratch;
    let (size, probability) = blocks(g, size, rate);
    let limit = threshold(probability);
    let left = AtomicUsize::new(0);
    ctx.parallel(len, &|thread| {
        for image in chunk(g.n, 1, thread, ctx.threads.count()) {
            let start = image * per_image;
            // SAFETY: inside the scratch memory, as asserted above; the image is this thread's alone.
            let mask =
                unsafe { std::slice::from_raw_parts_mut(scratch.ptr().cast::<u8>().add(start), per_image) };
            mask.fill(1);
            drop_squares(mask, g, size, |i| key.hits(start + i, limit));
            left.fetch_add(mask.iter().map(|&kept| usize::from(kept)).sum(), Ordering::Relaxed);
        }
    });
    let left = left.into_inner().max(1);
    Mask { bytes: scratch.ptr().cast(), scale: (len as f64 / left as f64) as f32 }
}

/// Clears the squares of one image `[h][w][c]` that start where `starts` says.
fn drop_squares(mask: &mut [u8], g: &DropGeometry, size: usize, starts: impl Fn(usize) -> bool) {
    for y in 0..=g.h - size {
        for x in 0..=g.w - size {
            for c in 0..g.c {
                let at = (y * g.w + x) * g.c + c;
                if !starts(at) {
                    continue;
                }
                for row in 0..size {
                    for column in 0..size {
                        mask[at + (row * g.w + column) * g.c] = 0;
                    }
                }
            }
        }
    }
}

struct Masked<'a, E> {
    mask: *const u8,
    scale: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

// SAFETY: the mask is only read.
unsafe impl<E: Element> Sync for Masked<'_, E> {}

impl<E: Element> MapOp for Masked<'_, E> {
    type Channel<V: Vector> = V;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::splat(self.scale) }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, scale: V, _: usize, at: usize) {
        // SAFETY: the caller's promise; the mask is as long as the map.
        unsafe {
            let kept: V = access.load_bytes(self.mask.add(at));
            store(access, self.y, at, load::<V>(access, self.x, at).mul(kept.mul(scale)));
        }
    }
}
