//! Elementwise kernels over flat buffers: activations, their gradients, sums, multiples.

use resnetc_compiler::ir::op::Activation;

use super::activation::{backward, forward};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, Rows, expect_len, map_flat, map_rows};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, Simd, Vector};

/// `y = act(x)`; `y` may be `x`.
pub fn activate<E: Element>(ctx: &Ctx<'_>, act: Activation, x: Src<'_, E>, y: Dst<'_, E>) {
    expect_len(x.len(), y.len(), "x");
    map_flat(ctx, y.len(), &Activate { act, x, y });
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
    map_flat(ctx, dx.len(), &ActivateBackward { act, dy, y, dx });
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
    match [a.gap, b.gap] {
        [0, 0] => map_flat(ctx, y.len(), &op),
        _ => map_rows(ctx, rows, channels, &op),
    }
}

/// `y = scale * x + shift`; `y` may be `x`.
pub fn scale_shift<E: Element>(ctx: &Ctx<'_>, [scale, shift]: [f32; 2], x: Src<'_, E>, y: Dst<'_, E>) {
    expect_len(x.len(), y.len(), "x");
    map_flat(ctx, y.len(), &ScaleShift { scale, shift, x, y });
}

#[derive(Clone, Copy)]
struct ScaleShift<'a, E> {
    scale: f32,
    shift: f32,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for ScaleShift<'_, E> {
    type Element = E;
    /// `scale, shift`
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x.into())], outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 2] {
        [simd.splat(self.scale), simd.splat(self.shift)]
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, [scale, shift]: [V; 2], [x]: [V; 1]) -> [V; 1] {
        [x.mul_add(scale, shift)]
    }
}

#[derive(Clone, Copy)]
struct Activate<'a, E> {
    act: Activation,
    x: Src<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for Activate<'_, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x.into())], outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), [x]: [V; 1]) -> [V; 1] {
        [forward(Some(self.act), x)]
    }
}

#[derive(Clone, Copy)]
struct ActivateBackward<'a, E> {
    act: Activation,
    dy: Src<'a, E>,
    y: Src<'a, E>,
    dx: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 2, 1> for ActivateBackward<'_, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 2, 1> {
        let inputs = [self.dy, self.y].map(|view| Some(view.into()));
        Operands { channels: [], inputs, outputs: [Some(self.dx.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), [dy, y]: [V; 2]) -> [V; 1] {
        [backward(self.act, dy, y)]
    }
}

#[derive(Clone, Copy)]
struct Add<'a, E> {
    act: Option<Activation>,
    a: Rows<'a, E>,
    b: Rows<'a, E>,
    y: Dst<'a, E>,
}

impl<E: Element> MapOp<0, 2, 1> for Add<'_, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 2, 1> {
        Operands { channels: [], inputs: [self.a, self.b].map(Some), outputs: [Some(self.y.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), [a, b]: [V; 2]) -> [V; 1] {
        [forward(self.act, a.add(b))]
    }
}
