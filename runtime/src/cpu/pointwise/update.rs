//! The optimizers' updates, each in one pass.

use resnetc_compiler::ir::update::{AdamWAttrs, SgdAttrs};

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Simd, Vector};

/// What changes from step to step, as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Learning rate.
    pub rate: f32,
    /// Number of the step, from 0.
    pub step: u64,
    /// Factor of the gradient before all else: what undoes the loss' scale, or 1.
    pub unscale: f32,
}

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
    expect_len(grad.len(), param.len(), "grad");
    expect_len(velocity.len(), param.len(), "velocity");
    let op = Sgd {
        attrs: *attrs,
        lr: now.rate,
        first: now.step == 0,
        unscale: now.unscale,
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
        }
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, k: Constants<V>, [p, g, v]: [V; 3]) -> [V; 2] {
        let (mut g, mut v) = (unscaled(g, self.unscale, k.unscale), v);
        if self.attrs.weight_decay != 0.0 {
            g = p.mul_add(k.decay, g);
        }
        if self.attrs.momentum != 0.0 {
            v = if self.first { g } else { g.mul_add(k.entry, v.mul(k.momentum)) };
            g = if self.attrs.nesterov { v.mul_add(k.momentum, g) } else { v };
        }
        [g.mul_add(k.step, p), v]
    }
}

/// A gradient without the loss' scale; as it is where there is none.
#[inline(always)]
fn unscaled<V: Vector>(g: V, factor: f32, factors: V) -> V {
    if factor == 1.0 { g } else { g.mul(factors) }
}

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
