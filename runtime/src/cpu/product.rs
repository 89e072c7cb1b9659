//! Products of maps, products with gates (one factor per image and channel), and their gradients: one pass over memory
//! each, sum and activation included.

use resnetc_compiler::ir::op::{Activation, Epilogue};

use crate::cpu::Ctx;
use crate::cpu::activation::{backward, forward};
use crate::cpu::columns::Columns;
use crate::cpu::isa::Work;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stream::{Access, First, Full, MapOp, expect_len, load, map_flat, map_row_range, store};
use crate::cpu::vector::Vector;

/// Pixels whose products are summed before they are added to the gate's gradient, so that large images round less.
const BLOCK: usize = 64;

/// Sizes of a product: `[images, pixels, channels]` of the map, and whether the second factor is a gate
/// `[images, channels]`.
#[derive(Debug, Clone, Copy)]
pub struct ProductSize {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Whether the second factor is a gate.
    pub gate: bool,
}

impl ProductSize {
    fn map(&self) -> usize {
        self.images * self.pixels * self.channels
    }

    fn second(&self) -> usize {
        if self.gate { self.images * self.channels } else { self.map() }
    }
}

/// `y = act(a * b + residual)`; `y` may be any operand of its size. The residual is there when the epilogue says so.
pub fn mul(
    ctx: &Ctx<'_>,
    size: ProductSize,
    epilogue: Epilogue,
    [a, b]: [Src<'_, f32>; 2],
    residual: Option<Src<'_, f32>>,
    y: Dst<'_, f32>,
) {
    for len in [a.len(), y.len(), residual.map_or(size.map(), Src::len)] {
        expect_len(len, size.map(), "maps");
    }
    expect_len(b.len(), size.second(), "b");
    let op = Mul { act: epilogue.act, a, b, residual, y };
    if !size.gate {
        // SAFETY: all views have the map's length.
        unsafe { map_flat(ctx, size.map(), &op) };
        return;
    }
    ctx.parallel(size.map(), &|thread| {
        let rows = share(size.images * size.pixels, 1, thread, ctx.pool.threads());
        for image in rows.start / size.pixels..rows.end.div_ceil(size.pixels) {
            let first = image * size.pixels;
            let rows = rows.start.max(first)..rows.end.min(first + size.pixels);
            let op = Gated { op: &op, gate: image * size.channels };
            // SAFETY: the rows are this thread's, and inside the views, whose lengths have been checked.
            unsafe { map_row_range(ctx, rows, size.channels, &op) };
        }
    });
}

struct Mul<'a> {
    act: Option<Activation>,
    a: Src<'a, f32>,
    b: Src<'a, f32>,
    residual: Option<Src<'a, f32>>,
    y: Dst<'a, f32>,
}

impl Mul<'_> {
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

impl MapOp for Mul<'_> {
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
struct Gated<'a> {
    op: &'a Mul<'a>,
    /// Where the image's part of the gate starts.
    gate: usize,
}

impl MapOp for Gated<'_> {
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

/// Results of [`mul_backward`].
#[derive(Clone, Copy)]
pub struct ProductGradients<'a> {
    /// Of the first factor.
    pub da: Dst<'a, f32>,
    /// Of the second.
    pub db: Dst<'a, f32>,
    /// Of the residual, where there is one.
    pub dresidual: Option<Dst<'a, f32>>,
}

/// With `g = dy` before the activation: `da = g * b`, `db = g * a`, summed over the image where `b` is a gate;
/// `dresidual = g`. `mask` is the activation and its result. Results may be any operand of their size.
pub fn mul_backward(
    ctx: &Ctx<'_>,
    size: ProductSize,
    dy: Src<'_, f32>,
    [a, b]: [Src<'_, f32>; 2],
    mask: Option<(Activation, Src<'_, f32>)>,
    out: ProductGradients<'_>,
) {
    let len = size.map();
    for l in [a.len(), dy.len(), out.da.len(), mask.map_or(len, |(_, y)| y.len())] {
        expect_len(l, len, "maps");
    }
    expect_len(out.dresidual.map_or(len, Dst::len), len, "dresidual");
    for l in [b.len(), out.db.len()] {
        expect_len(l, size.second(), "the second factor");
    }
    let op = MulBackward { dy, a, b, mask, out };
    if !size.gate {
        // SAFETY: all views have the map's length.
        unsafe { map_flat(ctx, len, &op) };
        return;
    }
    ctx.parallel(len, &|thread| {
        let columns = Columns::share(ctx, size.images, size.channels, thread);
        ctx.isa.dispatch(GateBackward { op: &op, columns, size });
    });
}

struct MulBackward<'a> {
    dy: Src<'a, f32>,
    a: Src<'a, f32>,
    b: Src<'a, f32>,
    /// The activation and its result.
    mask: Option<(Activation, Src<'a, f32>)>,
    out: ProductGradients<'a>,
}

impl MulBackward<'_> {
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

impl MapOp for MulBackward<'_> {
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
struct GateBackward<'a> {
    op: &'a MulBackward<'a>,
    columns: Columns,
    size: ProductSize,
}

impl GateBackward<'_> {
    /// The column of channels from `c` on, in the block of pixels from `start` on.
    ///
    /// # Safety
    /// Dispatched as [`Vector`] demands; image, channels and pixel exist and the column is this thread's.
    #[inline(always)]
    unsafe fn block<V: Vector>(&self, access: impl Access, image: usize, c: usize, start: usize) {
        let ProductSize { pixels, channels, .. } = self.size;
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

impl Work for GateBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let (per_image, range) = (self.columns.per_image, self.columns.range.clone());
        let mut next = range.start;
        while next < range.end {
            let (image, end) = (next / per_image, range.end.min((next / per_image + 1) * per_image));
            for start in (0..self.size.pixels).step_by(BLOCK) {
                for c in (next..end).map(|column| self.columns.place(column).1) {
                    let left = self.size.channels - c;
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
