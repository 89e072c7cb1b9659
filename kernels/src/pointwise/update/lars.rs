//! LARS' update: SGD's, behind a pass that takes the norms.

use resnetc_compiler::ir::update::{LarsAttrs, SgdAttrs};

use super::now::Now;
use super::sgd::adapted;
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, sum_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// One step of LARS on one parameter and its velocity in place; the formula is [`LarsAttrs`]'.
pub fn lars(
    ctx: &Ctx<'_>,
    attrs: &LarsAttrs,
    now: Now,
    adapts: bool,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    velocity: Dst<'_, f32>,
) {
    expect_len(grad.len(), param.len(), "grad");
    let ratio = if adapts { ratio(ctx, attrs, now, grad, param.src()) } else { 1.0 };
    let LarsAttrs { momentum, dampening, nesterov, weight_decay, .. } = *attrs;
    let sgd = SgdAttrs { momentum, dampening, nesterov, weight_decay };
    adapted(ctx, &sgd, now, ratio as f32, grad, param, velocity);
}

/// The parameter's factor of its rate.
fn ratio(ctx: &Ctx<'_>, attrs: &LarsAttrs, now: Now, grad: Src<'_, f32>, param: Src<'_, f32>) -> f64 {
    let [param, grad] = sum_flat(ctx, param.len(), &Squares([param, grad])).map(f64::sqrt);
    let grad = grad * f64::from(now.unscale);
    if param == 0.0 || grad == 0.0 {
        return 1.0;
    }
    let below = grad + param * f64::from(attrs.weight_decay) + f64::from(attrs.eps);
    let ratio = f64::from(attrs.trust_coeff) * param / below;
    if attrs.trust_clip { (ratio / f64::from(now.rate)).min(1.0) } else { ratio }
}

/// Squares of two tensors' elements.
#[derive(Clone, Copy)]
struct Squares<'a>([Src<'a, f32>; 2]);

impl MapOp<0, 2, 2> for Squares<'_> {
    type Element = f32;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 2, 2> {
        Operands { channels: [], inputs: self.0.map(|view| Some(view.into())), outputs: [None, None] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), inputs: [V; 2]) -> [V; 2] {
        inputs.map(|x| x.mul(x))
    }
}
