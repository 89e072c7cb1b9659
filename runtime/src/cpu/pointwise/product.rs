//! Products of maps, products with gates (one factor per image and channel), and their gradients: one pass over memory
//! each, sum and activation included.

use resnetc_compiler::ir::op::{Activation, Epilogue};

use super::activation::{backward, forward};
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{Columns, MapOp, expect_len, map_flat, map_row_range};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, First, Full, Vector, Work, load, store};
use crate::cpu::threads::chunk;

/// Pixels whose products are summed before they are added to the gate's gradient, so that large images round less.
const BLOCK: usize = 64;

/// `y = act(a * b + residual)`; `y` may be any operand. The residual is there when the epilogue says so.
pub fn mul<E: Element>(
    ctx: &Ctx<'_>,
    epilogue: Epilogue,
    [a, b]: [Src<'_, E>; 2],
    residual: Option<Src<'_, E>>,
    y: Dst<'_, E>,
) {
    let len = y.len();
    for l in [a.len(), b.len(), residual.map_or(len, Src::len)] {
        expect_len(l, len, "maps");
    }
    // SAFETY: all views have the map's length.
    unsafe { map_flat(ctx, len, &Mul { act: epilogue.act, a, b, residual, y }) };
}

/// `y = act(a * gate + residual)`: `a [images, pixels, channels]`, `gate [images, channels]`; `y` may be either map.
pub fn gate<E: Element>(
    ctx: &Ctx<'_>,
    [images, pixels, channels]: [usize; 3],
    epilogue: Epilogue,
    (a, gate): (Src<'_, E>, Src<'_, f32>),
    residual: Option<Src<'_, E>>,
    y: Dst<'_, E>,
) {
    let len = images * pixels * channels;
    for l in [a.len(), y.len(), residual.map_or(len, Src::len)] {
        expect_len(l, len, "maps");
    }
    expect_len(gate.len(), images * channels, "the gate");
    let op = Mul { act: epilogue.act, a, b: gate, residual, y };
    ctx.parallel(len, &|thread| {
        let rows = chunk(images * pixels, 1, thread, ctx.threads.count());
        for image in rows.start / pixels..rows.end.div_ceil(pixels) {
            let first = image * pixels;
            let rows = rows.start.max(first)..rows.end.min(first + pixels);
            let op = Gated { op: &op, gate: image * channels };
            // SAFETY: the rows are this thread's, and inside the views, whose lengths have been checked.
            unsafe { map_row_range(ctx, rows, channels, &op) };
        }
    });
}

struct Mul<'a, E, B> {
    act: Option<Activation>,
    a: Src<'a, E>,
    b: Src<'a, B>,
    residual: Option<Src<'a, E>>,
    y: Dst<'a, E>,
}

impl<E: Element, B: Element> Mul<'_, E, B> {
    /// # Safety
    /// As [`MapOp::apply`]; `b` are the second factors of the elements from `at` on.
    #[inline(always)]
    unsafe fn times<V: Vector>(&self, access: impl Access, b: V, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let a: V = load(access, self.a, at);
            let v = match self.residual {
                Some(residual) => a.mul_add(b, load(access, residual, at)),
                None => a.mul(b),
            };
            store(access, self.y, at, forward(self.act, v));
        }
    }
}

impl<E: Element, B: Element> MapOp for Mul<'_, E, B> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.times::<V>(access, load(access, self.b, at), at) }
    }
}

/// A product with the gate of one image.
struct Gated<'a, E, B> {
    op: &'a Mul<'a, E, B>,
    /// Where the image's part of the gate starts.
    gate: usize,
}

impl<E: Element, B: Element> MapOp for Gated<'_, E, B> {
    type Channel<V: Vector> = V;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { load(access, self.op.b, self.gate + c) }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, gate: V, _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.op.times::<V>(access, gate, at) }
    }
}

/// Results of [`mul_backward`] and [`gate_backward`].
#[derive(Clone, Copy)]
pub struct ProductGradients<'a, E, B> {
    /// Of the first factor.
    pub da: Dst<'a, E>,
    /// Of the second.
    pub db: Dst<'a, B>,
    /// Of the residual, where there is one.
    pub dresidual: Option<Dst<'a, E>>,
}

/// With `g = dy` before the activation: `da = g * b`, `db = g * a`, `dresidual = g`. `mask` is the activation and its result.
/// Results may be any operand.
pub fn mul_backward<E: Element>(
    ctx: &Ctx<'_>,
    dy: Src<'_, E>,
    [a, b]: [Src<'_, E>; 2],
    mask: Option<(Activation, Src<'_, E>)>,
    out: ProductGradients<'_, E, E>,
) {
    let op = MulBackward { dy, a, b, mask, out };
    op.expect(dy.len());
    for l in [b.len(), out.db.len()] {
        expect_len(l, dy.len(), "the second factor");
    }
    // SAFETY: all views have the map's length.
    unsafe { map_flat(ctx, dy.len(), &op) };
}

/// The same of [`gate()`]: its gradient is summed over the image.
pub fn gate_backward<E: Element>(
    ctx: &Ctx<'_>,
    size @ [images, pixels, channels]: [usize; 3],
    dy: Src<'_, E>,
    (a, gate): (Src<'_, E>, Src<'_, f32>),
    mask: Option<(Activation, Src<'_, E>)>,
    out: ProductGradients<'_, E, f32>,
) {
    let op = MulBackward { dy, a, b: gate, mask, out };
    op.expect(images * pixels * channels);
    for l in [gate.len(), out.db.len()] {
        expect_len(l, images * channels, "the gate");
    }
    ctx.parallel(dy.len(), &|thread| {
        let columns = Columns::chunk(ctx, images, channels, thread);
        ctx.isa.dispatch(GateBackward { op: &op, columns, size });
    });
}

struct MulBackward<'a, E, B> {
    dy: Src<'a, E>,
    a: Src<'a, E>,
    b: Src<'a, B>,
    /// The activation and its result.
    mask: Option<(Activation, Src<'a, E>)>,
    out: ProductGradients<'a, E, B>,
}

impl<E: Element, B: Element> MulBackward<'_, E, B> {
    /// Checks the lengths of all but the second factor and its gradient.
    fn expect(&self, len: usize) {
        for l in [self.a.len(), self.dy.len(), self.out.da.len(), self.mask.map_or(len, |(_, y)| y.len())] {
            expect_len(l, len, "maps");
        }
        expect_len(self.out.dresidual.map_or(len, Dst::len), len, "dresidual");
    }

    /// Stores the gradients of the first factor and of the residual; returns that of the second, element by element.
    ///
    /// # Safety
    /// As [`MapOp::apply`]; `b` are the second factors of the elements from `at` on.
    #[inline(always)]
    unsafe fn times<V: Vector>(&self, access: impl Access, b: V, at: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let mut dy: V = load(access, self.dy, at);
            if let Some((act, y)) = self.mask {
                dy = backward(act, dy, load(access, y, at));
            }
            let db = dy.mul(load(access, self.a, at));
            store(access, self.out.da, at, dy.mul(b));
            if let Some(dresidual) = self.out.dresidual {
                store(access, dresidual, at, dy);
            }
            db
        }
    }
}

impl<E: Element, B: Element> MapOp for MulBackward<'_, E, B> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let db = self.times::<V>(access, load(access, self.b, at), at);
            store(access, self.out.db, at, db);
        }
    }
}

/// One thread's columns of a product with a gate: an image's blocks of pixels one after the other, so that what
/// neighbouring columns share of memory is still in cache.
struct GateBackward<'a, E> {
    op: &'a MulBackward<'a, E, f32>,
    columns: Columns,
    /// Images, pixels, channels.
    size: [usize; 3],
}

impl<E: Element> GateBackward<'_, E> {
    /// The column of channels from `c` on, in the block of pixels from `start` on.
    ///
    /// # Safety
    /// Dispatched as [`Vector`] demands; image, channels and pixel exist and the column is this thread's.
    #[inline(always)]
    unsafe fn block<V: Vector>(&self, access: impl Access, image: usize, c: usize, start: usize) {
        let [_, pixels, channels] = self.size;
        let place = image * channels + c;
        // SAFETY: the caller's promise.
        unsafe {
            let gate: V = load(access, self.op.b, place);
            let mut sum = V::zero();
            for pixel in start..pixels.min(start + BLOCK) {
                let at = (image * pixels + pixel) * channels + c;
                sum = sum.add(self.op.times::<V>(access, gate, at));
            }
            let dgate = self.op.out.db;
            if start > 0 {
                sum = sum.add(access.load(dgate.ptr().add(place)));
            }
            store(access, dgate, place, sum);
        }
    }
}

impl<E: Element> Work for GateBackward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let (per_image, range) = (self.columns.per_image, self.columns.range.clone());
        let mut next = range.start;
        while next < range.end {
            let (image, end) = (next / per_image, range.end.min((next / per_image + 1) * per_image));
            for start in (0..self.size[1]).step_by(BLOCK) {
                for c in (next..end).map(|column| self.columns.place(column).1) {
                    let left = self.size[2] - c;
                    // SAFETY: the column is this thread's; no channel beyond the last is touched.
                    unsafe {
                        if left < V::LANES {
                            self.block::<V>(First(left), image, c, start);
                        } else {
                            self.block::<V>(Full, image, c, start);
                        }
                    }
                }
            }
            next = end;
        }
    }
}
