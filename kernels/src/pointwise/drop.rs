//! Dropout, stochastic depth, DropBlock: what is dropped follows from [`Key`] and the element's index alone, so it depends
//! neither on the number of threads nor on the instruction set.

use std::sync::atomic::{AtomicUsize, Ordering};

use resnetc_compiler::ir::op::DropPart;
use resnetc_compiler::plan::DropGeometry;

use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat, map_row_range};
use crate::memory::{Dst, Src};
use crate::random::{Key, blocks, threshold};
use crate::simd::{Access, Element, MAX_LANES, Simd, Vector};
use crate::threads::chunk;

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
        DropPart::Element => map_flat(ctx, len, &Elements { key, limit, kept, x, y }),
        DropPart::Image => images(ctx, g, |image| if key.hits(image, limit) { 0.0 } else { kept }, x, y),
        DropPart::Block { size } => {
            let (mask, scale) = mask_blocks(ctx, g, size, rate, key);
            map_flat(ctx, len, &Masked { mask, scale, x, y });
        }
    }
}

#[derive(Clone, Copy)]
struct Elements<'a, E> {
    key: Key,
    limit: u32,
    /// Factor of what is kept.
    kept: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for Elements<'_, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x.into())], outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, place: Place<V, impl Access>, (): (), [x]: [V; 1]) -> [V; 1] {
        let mut factors = [0.0; MAX_LANES];
        for (lane, factor) in factors[..V::LANES].iter_mut().enumerate() {
            *factor = if self.key.hits(place.at.wrapping_add(lane), self.limit) { 0.0 } else { self.kept };
        }
        [x.mul(place.simd.from_lanes(&factors))]
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
            // SAFETY: the rows are this thread's.
            unsafe { map_row_range(ctx, rows, g.c, &Scaled { factor: factor(image), x, y }) };
        }
    });
}

#[derive(Clone, Copy)]
struct Scaled<'a, E> {
    factor: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for Scaled<'_, E> {
    type Element = E;
    /// The factor.
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x.into())], outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> V {
        simd.splat(self.factor)
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, factor: V, [x]: [V; 1]) -> [V; 1] {
        [x.mul(factor)]
    }
}

/// Draws the squares: 1 for what is kept, else 0, in scratch memory, and the factor of what is kept. Each thread has whole
/// images, so none writes into another's; the counts are whole numbers, whose sum has no order.
fn mask_blocks<'a>(ctx: &Ctx<'a>, g: &DropGeometry, size: usize, rate: f32, key: Key) -> (Src<'a, u8>, f32) {
    let per_image = g.h * g.w * g.c;
    let len = g.n * per_image;
    let wanted = DropPart::Block { size };
    assert!(ctx.scratch.len() >= drop_scratch_len(g, wanted), "scratch memory is smaller than asked for");
    let (all, _) = ctx.scratch.bytes().split_at(len);
    let (size, probability) = blocks(g, size, rate);
    let limit = threshold(probability);
    let left = AtomicUsize::new(0);
    ctx.parallel(len, &|thread| {
        for image in chunk(g.n, 1, thread, ctx.threads.count()) {
            let start = image * per_image;
            // SAFETY: the image is this thread's alone.
            let mask = unsafe { all.slice(start..start + per_image) };
            mask.fill(1);
            drop_squares(mask, g, size, |i| key.hits(start + i, limit));
            left.fetch_add(mask.iter().map(|&kept| usize::from(kept)).sum(), Ordering::Relaxed);
        }
    });
    let left = left.into_inner().max(1);
    (all.src(), (len as f64 / left as f64) as f32)
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

#[derive(Clone, Copy)]
struct Masked<'a, E> {
    mask: Src<'a, u8>,
    scale: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for Masked<'_, E> {
    type Element = E;
    /// The scale.
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x.into())], outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> V {
        simd.splat(self.scale)
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, place: Place<V, impl Access>, scale: V, [x]: [V; 1]) -> [V; 1] {
        let kept = place.load(self.mask);
        [x.mul(kept.mul(scale))]
    }
}
