//! The sum of gradients over the batches of one update.

use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// `sum += share * grad`
pub fn gather(ctx: &Ctx<'_>, share: f32, grad: Src<'_, f32>, sum: Dst<'_, f32>) {
    expect_len(sum.len(), grad.len(), "sum");
    map_flat(ctx, grad.len(), &Gather { share, grad, sum });
}

/// `grad = sum + share * grad; sum = 0`
pub fn finish(ctx: &Ctx<'_>, share: f32, grad: Dst<'_, f32>, sum: Dst<'_, f32>) {
    expect_len(sum.len(), grad.len(), "sum");
    map_flat(ctx, grad.len(), &Finish { share, grad, sum });
}

#[derive(Clone, Copy)]
struct Gather<'a> {
    share: f32,
    grad: Src<'a, f32>,
    sum: Dst<'a, f32>,
}

impl MapOp<0, 2, 1> for Gather<'_> {
    type Element = f32;
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 2, 1> {
        let inputs = [self.grad, self.sum.src()].map(|view| Some(view.into()));
        Operands { channels: [], inputs, outputs: [Some(self.sum.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> V {
        simd.splat(self.share)
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, share: V, [g, sum]: [V; 2]) -> [V; 1] {
        [g.mul_add(share, sum)]
    }
}

#[derive(Clone, Copy)]
struct Finish<'a> {
    share: f32,
    grad: Dst<'a, f32>,
    sum: Dst<'a, f32>,
}

impl MapOp<0, 2, 2> for Finish<'_> {
    type Element = f32;
    /// The share, and zero.
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 2, 2> {
        let views = [self.grad, self.sum];
        let inputs = views.map(|view| Some(view.src().into()));
        Operands { channels: [], inputs, outputs: views.map(|view| Some(view.into())) }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 2] {
        [simd.splat(self.share), simd.zero()]
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, [share, zero]: [V; 2], [g, sum]: [V; 2]) -> [V; 2] {
        [g.mul_add(share, sum), zero]
    }
}
