//! The average of weights over updates.

use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat};
use crate::memory::{Dst, Src};
use crate::simd::{Access, Simd, Vector};

/// `average = decay * average + (1 - decay) * value`. At a decay of 1 memory is not even read.
pub fn average(ctx: &Ctx<'_>, decay: f32, average: Dst<'_, f32>, value: Src<'_, f32>) {
    expect_len(value.len(), average.len(), "value");
    if decay != 1.0 {
        map_flat(ctx, average.len(), &Average { decay, average, value });
    }
}

#[derive(Clone, Copy)]
struct Average<'a> {
    decay: f32,
    average: Dst<'a, f32>,
    value: Src<'a, f32>,
}

impl MapOp<0, 2, 1> for Average<'_> {
    type Element = f32;
    /// `decay, 1 - decay`
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 2, 1> {
        let inputs = [self.average.src(), self.value].map(|view| Some(view.into()));
        Operands { channels: [], inputs, outputs: [Some(self.average.into())] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 2] {
        [simd.splat(self.decay), simd.splat(1.0 - self.decay)]
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, [decay, entry]: [V; 2], [a, v]: [V; 2]) -> [V; 1] {
        [v.mul_add(entry, a.mul(decay))]
    }
}
