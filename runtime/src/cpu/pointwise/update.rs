//! The optimizers' updates, each in one pass.

use resnetc_compiler::ir::update::{AdamWAttrs, SgdAttrs};

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, expect_len, map_flat};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Vector, load, store};

/// What changes from step to step, as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Learning rate.
    pub rate: f32,
    /// Number of the step, from 0.
    pub step: u64,
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
    let op = Sgd { attrs: *attrs, lr: now.rate, first: now.step == 0, grad, param, velocity };
    // SAFETY: equal lengths.
    unsafe { map_flat(ctx, param.len(), &op) }
}

struct Sgd<'a> {
    attrs: SgdAttrs,
    lr: f32,
    first: bool,
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
}

impl MapOp for Sgd<'_> {
    type Channel<V: Vector> = Constants<V>;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) -> Constants<V> {
        // SAFETY: the caller's promise.
        unsafe {
            Constants {
                decay: V::splat(self.attrs.weight_decay),
                momentum: V::splat(self.attrs.momentum),
                // PyTorch subtracts in double precision.
                entry: V::splat((1.0 - f64::from(self.attrs.dampening)) as f32),
                step: V::splat(-self.lr),
            }
        }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, k: Constants<V>, _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let p: V = load(access, self.param.src(), at);
            let mut g: V = load(access, self.grad, at);
            if self.attrs.weight_decay != 0.0 {
                g = p.mul_add(k.decay, g);
            }
            if self.attrs.momentum != 0.0 {
                let v = if self.first {
                    g
                } else {
                    let v: V = load(access, self.velocity.src(), at);
                    g.mul_add(k.entry, v.mul(k.momentum))
                };
                store(access, self.velocity, at, v);
                g = if self.attrs.nesterov { v.mul_add(k.momentum, g) } else { v };
            }
            store(access, self.param, at, g.mul_add(k.step, p));
        }
    }
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
        grad,
        param,
        mean,
        square,
    };
    // SAFETY: equal lengths.
    unsafe { map_flat(ctx, param.len(), &op) }
}

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
}

impl MapOp for AdamW<'_> {
    type Channel<V: Vector> = AdamWConstants<V>;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) -> AdamWConstants<V> {
        // SAFETY: the caller's promise.
        unsafe {
            AdamWConstants {
                kept: V::splat(self.kept),
                entries: [V::splat(self.entries[0]), V::splat(self.entries[1])],
                beta2: V::splat(self.beta2),
                eps: V::splat(self.eps),
                step: V::splat(-self.rate),
                correction: V::splat(self.correction),
            }
        }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, k: AdamWConstants<V>, _: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let p: V = load(access, self.param.src(), at);
            let g: V = load(access, self.grad, at);
            let m: V = load(access, self.mean.src(), at);
            let v: V = load(access, self.square.src(), at);
            let m = g.sub(m).mul_add(k.entries[0], m);
            let v = g.mul(g).mul_add(k.entries[1], v.mul(k.beta2));
            store(access, self.mean, at, m);
            store(access, self.square, at, v);
            let root = v.sqrt().div(k.correction).add(k.eps);
            store(access, self.param, at, m.div(root).mul_add(k.step, p.mul(k.kept)));
        }
    }
}
