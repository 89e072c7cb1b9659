//! The optimizer's update: PyTorch's SGD in one pass.

use resnetc_compiler::ir::op::SgdAttrs;

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, expect_len, map_flat};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, Vector, load, store};
use crate::device::RunArgs;

/// One step of SGD on `param` and `velocity` in place; the formula is [`SgdAttrs`]'.
///
/// Every line of the formula that adds a multiple is one fused multiply-add where the instruction set has it, as in
/// PyTorch's vectorised CPU kernels. Without momentum the velocity is neither read nor written.
pub fn sgd(
    ctx: &Ctx<'_>,
    attrs: &SgdAttrs,
    args: &RunArgs,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    velocity: Dst<'_, f32>,
) {
    expect_len(grad.len(), param.len(), "grad");
    expect_len(velocity.len(), param.len(), "velocity");
    let op = Sgd { attrs: *attrs, lr: args.lr, first: args.first_update, grad, param, velocity };
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
