//! Lion's update, in one pass.

use resnetc_compiler::ir::update::LionAttrs;

use super::now::{Now, unscaled};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// One step of Lion on `param` and its mean in place; the formula is [`LionAttrs`]'.
pub fn lion(
    ctx: &Ctx<'_>,
    attrs: &LionAttrs,
    now: Now,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    mean: Dst<'_, f32>,
) {
    expect_len(grad.len(), param.len(), "grad");
    expect_len(mean.len(), param.len(), "exp_avg");
    let entry = |beta: f32| (1.0 - f64::from(beta)) as f32;
    let op = Lion {
        kept: (1.0 - f64::from(now.rate) * f64::from(attrs.weight_decay)) as f32,
        entries: [entry(attrs.beta1), entry(attrs.beta2)],
        rate: now.rate,
        unscale: now.unscale,
        grad,
        param,
        mean,
    };
    map_flat(ctx, param.len(), &op);
}

#[derive(Clone, Copy)]
struct Lion<'a> {
    /// `1 - lr * weight_decay`
    kept: f32,
    /// `1 - beta1, 1 - beta2`
    entries: [f32; 2],
    rate: f32,
    unscale: f32,
    grad: Src<'a, f32>,
    param: Dst<'a, f32>,
    mean: Dst<'a, f32>,
}

/// The constants, one in every lane.
#[derive(Clone, Copy)]
struct Constants<V> {
    kept: V,
    entries: [V; 2],
    /// `-lr, 0, lr`: by the sign.
    steps: [V; 3],
    unscale: V,
}

impl MapOp<0, 3, 2> for Lion<'_> {
    type Element = f32;
    type Channel<V: Vector> = Constants<V>;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 3, 2> {
        let Lion { grad, param, mean, .. } = *self;
        Operands {
            channels: [],
            inputs: [param.src(), grad, mean.src()].map(|view| Some(view.into())),
            outputs: [param, mean].map(|view| Some(view.into())),
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> Constants<V> {
        Constants {
            kept: simd.splat(self.kept),
            entries: [simd.splat(self.entries[0]), simd.splat(self.entries[1])],
            steps: [simd.splat(-self.rate), simd.zero(), simd.splat(self.rate)],
            unscale: simd.splat(self.unscale),
        }
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, at: Place<V, impl Access>, k: Constants<V>, [p, g, m]: [V; 3]) -> [V; 2] {
        let g = unscaled(g, self.unscale, k.unscale);
        let apart = g.sub(m);
        let direction = apart.mul_add(k.entries[0], m);
        let [down, none, up] = k.steps;
        let step = direction.if_positive(down, at.simd.zero().sub(direction).if_positive(up, none));
        [p.mul(k.kept).add(step), apart.mul_add(k.entries[1], m)]
    }
}
