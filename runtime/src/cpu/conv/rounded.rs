//! Convolutions in bf16 where no matrix unit does them: factors are rounded to bf16, then multiplied as f32 by the direct
//! algorithms. The numbers are those of the matrix unit, the speed is f32's.

use resnetc_compiler::plan::{ALIGN, ConvGeometry};

use super::Operation;
use super::filter::FilterGradient;
use super::sweep::{Convolution, Finishing};
use crate::cpu::Ctx;
use crate::cpu::isa::{Isa, Work};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::vector::Vector;
use crate::error::Result;

/// A convolution, forward or backward-data.
pub struct RoundedConvolution {
    direct: Convolution,
    /// Floats of the map that is read.
    input: usize,
}

/// The gradient of a convolution's weights.
pub struct RoundedFilter {
    direct: FilterGradient,
    /// Floats of `x` and of `dy`.
    inputs: [usize; 2],
}

/// Floats of `x` and of `y`.
fn maps(g: &ConvGeometry) -> [usize; 2] {
    [g.n * g.h * g.w * g.cin, g.n * g.out[0] * g.out[1] * g.cout]
}

/// Rounded up so that what follows is aligned.
fn room(floats: usize) -> usize {
    floats.next_multiple_of(ALIGN / size_of::<f32>())
}

impl RoundedConvolution {
    /// `y` of `x`, or `dx` of `dy`.
    pub(super) fn new(g: ConvGeometry, operation: Operation, isa: Isa, threads: usize) -> Result<Self> {
        let [x, y] = maps(&g);
        let (direct, input) = match operation {
            Operation::Forward => (Convolution::forward(g, isa, threads)?, x),
            Operation::BackwardData => (Convolution::backward_data(g, isa, threads)?, y),
        };
        Ok(RoundedConvolution { direct, input })
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.direct.packed_len()
    }

    /// Floats of scratch memory that [`RoundedConvolution::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        room(self.input) + self.direct.scratch_len(threads)
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        self.direct.pack(ctx, weight, packed);
        let (packed, _) = packed.split_at(self.packed_len());
        round(ctx, packed.src(), packed);
    }

    /// Computes the result: of `x` forward, of `dy` backward.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, f32>,
        packed: Src<'_, f32>,
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: Dst<'_, f32>,
    ) {
        let (rounded, scratch) = scratch.split_at(room(self.input));
        let (rounded, _) = rounded.split_at(self.input);
        round(ctx, input, rounded);
        self.direct.run(ctx, rounded.src(), packed, finishing, scratch, output);
    }
}

impl RoundedFilter {
    /// `dw` of `x` and `dy`.
    pub fn new(g: ConvGeometry, isa: Isa, threads: usize) -> Result<Self> {
        Ok(RoundedFilter { direct: FilterGradient::new(g, isa, threads)?, inputs: maps(&g) })
    }

    /// Floats of scratch memory that [`RoundedFilter::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.inputs.map(room).iter().sum::<usize>() + self.direct.scratch_len(threads)
    }

    /// Computes `dw`.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        x: Src<'_, f32>,
        dy: Src<'_, f32>,
        scratch: Dst<'_, f32>,
        dw: Dst<'_, f32>,
    ) {
        let (rounded_x, scratch) = scratch.split_at(room(self.inputs[0]));
        let (rounded_dy, scratch) = scratch.split_at(room(self.inputs[1]));
        let [rounded_x, rounded_dy] = [(rounded_x, x), (rounded_dy, dy)].map(|(rounded, map)| {
            let (rounded, _) = rounded.split_at(map.len());
            round(ctx, map, rounded);
            rounded.src()
        });
        self.direct.run(ctx, rounded_x, rounded_dy, scratch, dw);
    }
}

/// Rounds to bf16, to nearest, ties to even; `to` may be `from`'s memory.
fn round(ctx: &Ctx<'_>, from: Src<'_, f32>, to: Dst<'_, f32>) {
    assert_eq!(from.len(), to.len(), "a map and its rounded copy");
    let threads = ctx.pool.threads();
    ctx.pool.run(&|thread| {
        let range = share(from.len(), 16, thread, threads);
        ctx.isa.dispatch(Round { from, to, range });
    });
}

/// One thread's share of rounding.
struct Round<'a> {
    from: Src<'a, f32>,
    to: Dst<'a, f32>,
    range: std::ops::Range<usize>,
}

impl Work for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for at in self.range {
            // SAFETY: both are as long as each other; threads write disjoint ranges, each element after it was read.
            unsafe { self.to.ptr().add(at).write(nearest(*self.from.ptr().add(at))) };
        }
    }
}

/// Without branches, so that loops over it vectorise.
#[inline(always)]
fn nearest(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // Adding could make an infinity of a NaN.
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest_of_bf16() {
        for i in 0..2_000_000_u32 {
            let x = f32::from_bits(i.wrapping_mul(2_147_483_629));
            let (found, expected) = (nearest(x), half::bf16::from_f32(x).to_f32());
            assert!(found == expected || x.is_nan() && found.is_nan(), "{x:e}: {found:e}, {expected:e}");
        }
    }
}
