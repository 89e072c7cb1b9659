//! Products of maps, products with gates (one factor per image and channel), and their gradients: one pass over memory
//! each, sum and activation included.

use resnetc_compiler::ir::op::{Activation, Epilogue};

use super::activation::{backward, forward};
use crate::ctx::Ctx;
use crate::maps::{Columns, MapOp, Operands, Place, Rows, RowsMut, expect_len, map_flat, map_row_range};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, First, Full, Simd, Vector, Work};
use crate::threads::chunk;

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
    map_flat(ctx, len, &Mul { act: epilogue.act, a, b, residual, y });
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
            let op = Gated { op: &op, gate: op.b.part(image * channels..(image + 1) * channels) };
            // SAFETY: the rows are this thread's.
            unsafe { map_row_range(ctx, rows, channels, &op) };
        }
    });
}

#[derive(Clone, Copy)]
struct Mul<'a, E, B> {
    act: Option<Activation>,
    a: Src<'a, E>,
    b: Src<'a, B>,
    residual: Option<Src<'a, E>>,
    y: Dst<'a, E>,
}

impl<E: Element, B: Element> Mul<'_, E, B> {
    /// The result of both factors.
    #[inline(always)]
    fn times<V: Vector>(&self, [a, b, residual]: [V; 3]) -> V {
        let v = if self.residual.is_some() { a.mul_add(b, residual) } else { a.mul(b) };
        forward(self.act, v)
    }
}

impl<E: Element> MapOp<0, 3, 1> for Mul<'_, E, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 3, 1> {
        let inputs = [Some(self.a.into()), Some(self.b.into()), self.residual.map(Rows::from)];
        Operands { channels: [], inputs, outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), inputs: [V; 3]) -> [V; 1] {
        [self.times(inputs)]
    }
}

/// A product with the gate of one image.
#[derive(Clone, Copy)]
struct Gated<'a, E> {
    op: &'a Mul<'a, E, f32>,
    /// The image's part of the gate.
    gate: Src<'a, f32>,
}

impl<E: Element> MapOp<1, 2, 1> for Gated<'_, E> {
    type Element = E;
    /// The gate.
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 1, 2, 1> {
        let Mul { a, residual, y, .. } = *self.op;
        let inputs = [Some(a.into()), residual.map(Rows::from)];
        Operands { channels: [Some(self.gate)], inputs, outputs: [Some(y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, [gate]: [V; 1]) -> V {
        gate
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, gate: V, [a, residual]: [V; 2]) -> [V; 1] {
        [self.op.times([a, gate, residual])]
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
    map_flat(ctx, dy.len(), &op);
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

#[derive(Clone, Copy)]
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

    /// The gradients of both factors and of the residual, of the gradient `dy`, both factors and the result `y`.
    #[inline(always)]
    fn times<V: Vector>(&self, [dy, a, b, y]: [V; 4]) -> [V; 3] {
        let dy = match self.mask {
            Some((act, _)) => backward(act, dy, y),
            None => dy,
        };
        [dy.mul(b), dy.mul(a), dy]
    }
}

impl<E: Element> MapOp<0, 4, 3> for MulBackward<'_, E, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 4, 3> {
        let [dy, a, b] = [self.dy, self.a, self.b].map(|view| Some(view.into()));
        let ProductGradients { da, db, dresidual } = self.out;
        Operands {
            channels: [],
            inputs: [dy, a, b, self.mask.map(|(_, y)| y.into())],
            outputs: [Some(da.into()), Some(db.into()), dresidual.map(RowsMut::from)],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), inputs: [V; 4]) -> [V; 3] {
        self.times(inputs)
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
    /// All maps but the gate and its gradient.
    #[inline(always)]
    fn maps(&self) -> Operands<'_, E, 0, 3, 2> {
        let MulBackward { dy, a, mask, ref out, .. } = *self.op;
        Operands {
            channels: [],
            inputs: [Some(dy.into()), Some(a.into()), mask.map(|(_, y)| y.into())],
            outputs: [Some(out.da.into()), out.dresidual.map(RowsMut::from)],
        }
    }

    /// The column of channels from `c` on, in the block of pixels from `start` on.
    ///
    /// # Safety
    /// Image, channels and pixel exist, and the column is this thread's.
    #[inline(always)]
    unsafe fn block<V: Vector>(
        &self,
        simd: Simd<V>,
        access: impl Access,
        maps: &Operands<'_, E, 0, 3, 2>,
        [image, c, start]: [usize; 3],
    ) {
        let [_, pixels, channels] = self.size;
        let place = image * channels + c;
        let dgate = self.op.out.db.ptr().wrapping_add(place);
        // SAFETY: the caller's promise.
        unsafe {
            let gate: V = access.load(simd, self.op.b.ptr().add(place));
            let mut sum = simd.zero();
            for pixel in start..pixels.min(start + BLOCK) {
                let at = (image * pixels + pixel) * channels + c;
                let [dy, a, y] = maps.load(simd, access, 0, at);
                let [da, db, dresidual] = self.op.times([dy, a, gate, y]);
                maps.store(access, 0, at, [da, dresidual]);
                sum = sum.add(db);
            }
            if start > 0 {
                sum = sum.add(access.load(simd, dgate.cast_const()));
            }
            access.store(sum, dgate);
        }
    }
}

impl<E: Element> Work for GateBackward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let (maps, [images, pixels, channels]) = (self.maps(), self.size);
        maps.expect(images * pixels, channels);
        let (per_image, range) = (self.columns.per_image, self.columns.range.clone());
        let mut next = range.start;
        while next < range.end {
            let (image, end) = (next / per_image, range.end.min((next / per_image + 1) * per_image));
            for start in (0..pixels).step_by(BLOCK) {
                for c in (next..end).map(|column| self.columns.place(column).1) {
                    let left = channels - c;
                    // SAFETY: the column is this thread's; no channel beyond the last is touched.
                    unsafe {
                        if left < V::LANES {
                            self.block(simd, First::new::<V>(left), &maps, [image, c, start]);
                        } else {
                            self.block(simd, Full, &maps, [image, c, start]);
                        }
                    }
                }
            }
            next = end;
        }
    }
}
