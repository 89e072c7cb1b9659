//! AdamW's update, in one pass.

use resnetc_compiler::ir::update::AdamWAttrs;

use super::now::{Now, unscaled};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// One step of AdamW on `param` and its means in place; the formula is [`AdamWAttrs`]'. What is the same for all elements is
/// computed once, in double precision, as PyTorch does.
pub fn adamw(
    ctx: &Ctx<'_>,
    attrs: &AdamWAttrs,
    now: Now,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    [mean, square]: [Dst<'_, f32>; 2],
) {
    expect_len(grad.len(), param.len(), "grad");
    expect_len(mean.len(), param.len(), "exp_avg");
    expect_len(square.len(), param.len(), "exp_avg_sq");
    let (rate, t) = (f64::from(now.rate), (now.step + 1) as f64);
    let [beta1, beta2] = [attrs.beta1, attrs.beta2].map(f64::from);
    let op = AdamW {
        kept: (1.0 - rate * f64::from(attrs.weight_decay)) as f32,
        entries: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
        beta2: attrs.beta2,
        eps: attrs.eps,
        rate: (rate / (1.0 - beta1.powf(t))) as f32,
        correction: (1.0 - beta2.powf(t)).sqrt() as f32,
        unscale: now.unscale,
        grad,
        param,
        mean,
        square,
    };
    map_flat(ctx, param.len(), &op);
}

#[derive(Clone, Copy)]
struct AdamW<'a> {
    /// `1 - lr * weight_decay`
    kept: f32,
    /// `1 - beta1, 1 - beta2`
    entries: [f32; 2],
    beta2: f32,
    eps: f32,
    /// `lr / (1 - beta1^t)`
    rate: f32,
    /// `sqrt(1 - beta2^t)`
    correction: f32,
    unscale: f32,
    grad: Src<'a, f32>,
    param: Dst<'a, f32>,
    mean: Dst<'a, f32>,
    square: Dst<'a, f32>,
}

/// Its constants, one in every lane.
#[derive(Clone, Copy)]
struct AdamWConstants<V> {
    kept: V,
    entries: [V; 2],
    beta2: V,
    eps: V,
    step: V,
    correction: V,
    unscale: V,
}

impl MapOp<0, 4, 3> for AdamW<'_> {
    type Element = f32;
    type Channel<V: Vector> = AdamWConstants<V>;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 4, 3> {
        let AdamW { grad, param, mean, square, .. } = *self;
        Operands {
            channels: [],
            inputs: [param.src(), grad, mean.src(), square.src()].map(|view| Some(view.into())),
            outputs: [param, mean, square].map(|view| Some(view.into())),
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> AdamWConstants<V> {
        AdamWConstants {
            kept: simd.splat(self.kept),
            entries: [simd.splat(self.entries[0]), simd.splat(self.entries[1])],
            beta2: simd.splat(self.beta2),
            eps: simd.splat(self.eps),
            step: simd.splat(-self.rate),
            correction: simd.splat(self.correction),
            unscale: simd.splat(self.unscale),
        }
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        k: AdamWConstants<V>,
        [p, g, m, v]: [V; 4],
    ) -> [V; 3] {
        let g = unscaled(g, self.unscale, k.unscale);
        let m = g.sub(m).mul_add(k.entries[0], m);
        let v = g.mul(g).mul_add(k.entries[1], v.mul(k.beta2));
        let root = v.sqrt().div(k.correction).add(k.eps);
        [m.div(root).mul_add(k.step, p.mul(k.kept)), m, v]
    }
}
