//! LAMB's update: a pass for the means, one for the norms, one for the step.

use resnetc_compiler::ir::update::LambAttrs;

use super::now::{Now, unscaled};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat, sum_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// One step of LAMB on one parameter and its means in place; the formula is [`LambAttrs`]'.
pub fn lamb(
    ctx: &Ctx<'_>,
    attrs: &LambAttrs,
    now: Now,
    adapts: bool,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    means: [Dst<'_, f32>; 2],
) {
    let len = param.len();
    expect_len(grad.len(), len, "grad");
    expect_len(means[0].len(), len, "exp_avg");
    expect_len(means[1].len(), len, "exp_avg_sq");
    let [beta1, beta2] = [attrs.beta1, attrs.beta2].map(f64::from);
    let entries = [(1.0 - beta1) as f32, (1.0 - beta2) as f32];
    map_flat(ctx, len, &Means { entries, beta2: attrs.beta2, unscale: now.unscale, grad, means });
    let t = (now.step + 1) as f64;
    let direction = Direction {
        first: (1.0 / (1.0 - beta1.powf(t))) as f32,
        correction: (1.0 - beta2.powf(t)).sqrt() as f32,
        eps: attrs.eps,
        weight_decay: attrs.weight_decay,
    };
    let ratio = match adapts {
        true => ratio(sum_flat(ctx, len, &Norms { direction, param, means }), attrs.trust_clip),
        false => 1.0,
    };
    let rate = (f64::from(now.rate) * ratio) as f32;
    map_flat(ctx, len, &Apply { direction, rate, param, means });
}

/// Of sums of squares of the parameter and of its step.
fn ratio(squares: [f64; 2], clip: bool) -> f64 {
    let [param, step] = squares.map(f64::sqrt);
    let ratio = if param > 0.0 && step > 0.0 { param / step } else { 1.0 };
    if clip { ratio.min(1.0) } else { ratio }
}

/// Moves both means.
#[derive(Clone, Copy)]
struct Means<'a> {
    /// `1 - beta1, 1 - beta2`
    entries: [f32; 2],
    beta2: f32,
    unscale: f32,
    grad: Src<'a, f32>,
    means: [Dst<'a, f32>; 2],
}

impl MapOp<0, 3, 2> for Means<'_> {
    type Element = f32;
    /// Both entries, beta2, the factor of the gradient.
    type Channel<V: Vector> = [V; 4];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 3, 2> {
        let [mean, square] = self.means;
        Operands {
            channels: [],
            inputs: [self.grad, mean.src(), square.src()].map(|view| Some(view.into())),
            outputs: self.means.map(|view| Some(view.into())),
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 4] {
        [self.entries[0], self.entries[1], self.beta2, self.unscale].map(|x| simd.splat(x))
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, k: [V; 4], [g, m, v]: [V; 3]) -> [V; 2] {
        let g = unscaled(g, self.unscale, k[3]);
        [g.sub(m).mul_add(k[0], m), g.mul(g).mul_add(k[1], v.mul(k[2]))]
    }
}

/// What a parameter's step is made of.
#[derive(Clone, Copy)]
struct Direction {
    /// `1 / (1 - beta1^t)`
    first: f32,
    /// `sqrt(1 - beta2^t)`
    correction: f32,
    eps: f32,
    weight_decay: f32,
}

impl Direction {
    #[inline(always)]
    fn constants<V: Vector>(&self, simd: Simd<V>) -> [V; 4] {
        [self.first, self.correction, self.eps, self.weight_decay].map(|x| simd.splat(x))
    }

    /// `m * first / (sqrt(v) / correction + eps) + weight_decay * p`
    #[inline(always)]
    fn of<V: Vector>([first, correction, eps, decay]: [V; 4], [p, m, v]: [V; 3]) -> V {
        p.mul_add(decay, m.mul(first).div(v.sqrt().div(correction).add(eps)))
    }
}

/// Squares of the parameter and of its step.
#[derive(Clone, Copy)]
struct Norms<'a> {
    direction: Direction,
    param: Dst<'a, f32>,
    means: [Dst<'a, f32>; 2],
}

impl MapOp<0, 3, 2> for Norms<'_> {
    type Element = f32;
    type Channel<V: Vector> = [V; 4];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 3, 2> {
        let [mean, square] = self.means;
        let inputs = [self.param, mean, square].map(|view| Some(view.src().into()));
        Operands { channels: [], inputs, outputs: [None, None] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 4] {
        self.direction.constants(simd)
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, k: [V; 4], inputs: [V; 3]) -> [V; 2] {
        let (p, u) = (inputs[0], Direction::of(k, inputs));
        [p.mul(p), u.mul(u)]
    }
}

/// Makes the step.
#[derive(Clone, Copy)]
struct Apply<'a> {
    direction: Direction,
    rate: f32,
    param: Dst<'a, f32>,
    means: [Dst<'a, f32>; 2],
}

impl MapOp<0, 3, 1> for Apply<'_> {
    type Element = f32;
    /// The direction's, and the negative rate.
    type Channel<V: Vector> = ([V; 4], V);

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 3, 1> {
        let [mean, square] = self.means;
        let inputs = [self.param, mean, square].map(|view| Some(view.src().into()));
        Operands { channels: [], inputs, outputs: [Some(self.param.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> ([V; 4], V) {
        (self.direction.constants(simd), simd.splat(-self.rate))
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (k, rate): ([V; 4], V), inputs: [V; 3]) -> [V; 1] {
        [Direction::of(k, inputs).mul_add(rate, inputs[0])]
    }
}
