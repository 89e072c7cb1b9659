//! Elementwise kernels over flat buffers: activations, their gradients, sums, multiples.

use resnetc_compiler::ir::op::Activation;

use super::activation::{backward, forward};
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, Rows, expect_len, map_flat, map_rows};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Element, Vector, load, store};

/// `y = act(x)`; `y` may be `x`.
pub fn activate<E: Element>(ctx: &Ctx<'_>, act: Activation, x: Src<'_, E>, y: Dst<'_, E>) {
    expect_len(x.len(), y.len(), "x");
    // SAFETY: equal lengths.
    unsafe { map_flat(ctx, y.len(), &Activate { act, x, y }) }
}

/// `dx = dy * act'`, from the activation's result (or input: see [`Activation::grad_from`]) `y`; `dx` may be `dy` or `y`.
pub fn activate_backward<E: Element>(
    ctx: &Ctx<'_>,
    act: Activation,
    dy: Src<'_, E>,
    y: Src<'_, E>,
    dx: Dst<'_, E>,
) {
    expect_len(dy.len(), dx.len(), "dy");
    expect_len(y.len(), dx.len(), "y");
    // SAFETY: equal lengths.
    unsafe { map_flat(ctx, dx.len(), &ActivateBackward { act, dy, y, dx }) }
}

/// `y = act(a + b)`; `y` may be either. Rows matter where there are gaps between them.
pub fn add<E: Element>(
    ctx: &Ctx<'_>,
    act: Option<Activation>,
    [rows, channels]: [usize; 2],
    [a, b]: [Rows<'_, E>; 2],
    y: Dst<'_, E>,
) {
    expect_len(y.len(), rows * channels, "y");
    a.expect(rows, channels, "a");
    b.expect(rows, channels, "b");
    let op = Add { act, a, b, y };
    // SAFETY: the lengths have been checked.
    unsafe {
        match [a.gap, b.gap] {
            [0, 0] => map_flat(ctx, y.len(), &op),
            _ => map_rows(ctx, rows, channels, &op),
        }
    }
}

/// `y = scale * x + shift`; `y` may be `x`.
pub fn scale_shift<E: Element>(ctx: &Ctx<'_>, [scale, shift]: [f32; 2], x: Src<'_, E>, y: Dst<'_, E>) {
    expect_len(x.len(), y.len(), "x");
    // SAFETY: equal lengths.
    unsafe { map_flat(ctx, y.len(), &ScaleShift { scale, shift, x, y }) }
}

struct ScaleShift<'a, E> {
    scale: f32,
    shift: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp for ScaleShift<'_, E> {
    /// `scale, shift`
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [V::splat(self.scale), V::splat(self.shift)] }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, [scale, shift]: [V; 2], _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { store(access, self.y, at, load::<V>(access, self.x, at).mul_add(scale, shift)) }
    }
}

struct Activate<'a, E> {
    act: Activation,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp for Activate<'_, E> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { store(access, self.y, at, forward::<V>(Some(self.act), load(access, self.x, at))) }
    }
}

struct ActivateBackward<'a, E> {
    act: Activation,
    dy: Src<'a, E>,
    y: Src<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> MapOp for ActivateBackward<'_, E> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let dx = backward::<V>(self.act, load(access, self.dy, at), load(access, self.y, at));
            store(access, self.dx, at, dx);
        }
    }
}

struct Add<'a, E> {
    act: Option<Activation>,
    a: Rows<'a, E>,
    b: Rows<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp for Add<'_, E> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, (): (), row: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = self.a.load::<V>(access, row, at).add(self.b.load(access, row, at));
            store(access, self.y, at, forward(self.act, sum));
        }
    }
}
