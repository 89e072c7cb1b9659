//! Clipping of gradients in place.

use resnetc_compiler::ir::clip::Clip;

use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, map_flat, sum_flat};
use crate::memory::Dst;
use crate::simd::{Access, Simd, Vector};

/// Clips gradients of a loss with a factor.
pub fn clip(ctx: &Ctx<'_>, by: Clip, scale: f32, grad: Dst<'_, f32>) {
    let (max, scale) = (f64::from(by.max()), f64::from(scale));
    match by {
        Clip::Norm(_) => {
            let [squares] = sum_flat(ctx, grad.len(), &Squares(grad));
            let factor = max / (squares.sqrt() / scale + Clip::EPS);
            // Of a norm that is not finite too: what comes of it is told or left out.
            if factor.is_nan() || factor < 1.0 {
                map_flat(ctx, grad.len(), &Times(grad, factor as f32));
            }
        }
        Clip::Value(_) => map_flat(ctx, grad.len(), &Within(grad, (max * scale) as f32)),
    }
}

#[derive(Clone, Copy)]
struct Squares<'a>(Dst<'a, f32>);

impl MapOp<0, 1, 1> for Squares<'_> {
    type Element = f32;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.0.src().into())], outputs: [None] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), [g]: [V; 1]) -> [V; 1] {
        [g.mul(g)]
    }
}

/// Elements times a factor.
#[derive(Clone, Copy)]
struct Times<'a>(Dst<'a, f32>, f32);

impl MapOp<0, 1, 1> for Times<'_> {
    type Element = f32;
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.0.src().into())], outputs: [Some(self.0.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> V {
        simd.splat(self.1)
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, factor: V, [g]: [V; 1]) -> [V; 1] {
        [g.mul(factor)]
    }
}

/// Elements between a bound and its negative; NaN stays.
#[derive(Clone, Copy)]
struct Within<'a>(Dst<'a, f32>, f32);

impl MapOp<0, 1, 1> for Within<'_> {
    type Element = f32;
    /// The bound and its negative.
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.0.src().into())], outputs: [Some(self.0.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 2] {
        [simd.splat(self.1), simd.splat(-self.1)]
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, [max, min]: [V; 2], [g]: [V; 1]) -> [V; 1] {
        let below = g.sub(max).if_positive(max, g);
        [min.sub(below).if_positive(min, below)]
    }
}
