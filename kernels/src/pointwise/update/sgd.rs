//! SGD's update, in one pass.

use resnetc_compiler::ir::update::SgdAttrs;

use super::now::{Now, unscaled};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// One step of SGD on `param` and `velocity` in place; the formula is [`SgdAttrs`]'.
///
/// Every line of the formula that adds a multiple is one fused multiply-add where the instruction set has it, as in
/// PyTorch's vectorised CPU kernels. Without momentum the velocity is neither read nor written.
pub fn sgd(
    ctx: &Ctx<'_>,
    attrs: &SgdAttrs,
    now: Now,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    velocity: Dst<'_, f32>,
) {
    adapted(ctx, attrs, now, 1.0, grad, param, velocity);
}

/// The same with a gradient that is multiplied, decay included, with the ratio of LARS.
pub(super) fn adapted(
    ctx: &Ctx<'_>,
    attrs: &SgdAttrs,
    now: Now,
    ratio: f32,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    velocity: Dst<'_, f32>,
) {
    expect_len(grad.len(), param.len(), "grad");
    expect_len(velocity.len(), param.len(), "velocity");
    let op = Sgd {
        attrs: *attrs,
        lr: now.rate,
        first: now.step == 0,
        unscale: now.unscale,
        ratio,
        grad,
        param,
        velocity,
    };
    map_flat(ctx, param.len(), &op);
}

#[derive(Clone, Copy)]
struct Sgd<'a> {
    attrs: SgdAttrs,
    lr: f32,
    first: bool,
    unscale: f32,
    ratio: f32,
    grad: Src<'a, f32>,
    param: Dst<'a, f32>,
    velocity: Dst<'a, f32>,
}

/// The constants, one in every lane.
#[derive(Clone, Copy)]
struct Constants<V> {
    decay: V,
    momentum: V,
    /// `1 - dampening`
    entry: V,
    /// `-lr`
    step: V,
    unscale: V,
    ratio: V,
}

impl MapOp<0, 3, 2> for Sgd<'_> {
    type Element = f32;
    type Channel<V: Vector> = Constants<V>;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 3, 2> {
        let velocity = (self.attrs.momentum != 0.0).then_some(self.velocity);
        let old_velocity = velocity.filter(|_| !self.first).map(|view| view.src().into());
        Operands {
            channels: [],
            inputs: [Some(self.param.src().into()), Some(self.grad.into()), old_velocity],
            outputs: [Some(self.param.into()), velocity.map(|view| view.into())],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> Constants<V> {
        Constants {
            decay: simd.splat(self.attrs.weight_decay),
            momentum: simd.splat(self.attrs.momentum),
            // PyTorch subtracts in double precision.
            entry: simd.splat((1.0 - f64::from(self.attrs.dampening)) as f32),
            step: simd.splat(-self.lr),
            unscale: simd.splat(self.unscale),
            ratio: simd.splat(self.ratio),
        }
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, k: Constants<V>, [p, g, v]: [V; 3]) -> [V; 2] {
        let (mut g, mut v) = (unscaled(g, self.unscale, k.unscale), v);
        if self.attrs.weight_decay != 0.0 {
            g = p.mul_add(k.decay, g);
        }
        g = unscaled(g, self.ratio, k.ratio);
        if self.attrs.momentum != 0.0 {
            v = if self.first { g } else { g.mul_add(k.entry, v.mul(k.momentum)) };
            g = if self.attrs.nesterov { v.mul_add(k.momentum, g) } else { v };
        }
        [g.mul_add(k.step, p), v]
    }
}
