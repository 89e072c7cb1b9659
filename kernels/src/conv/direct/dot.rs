//! Convolutions in bf16 by vectors that multiply pairs: two neighbouring channels of a pixel with their two weights, both products
//! added to the sum (AVX512-BF16). It is the direct algorithm with pairs in the place of floats, in half the steps.

use resnetc_compiler::plan::{ALIGN, ConvGeometry};

use super::forward::DirectConvolution;
use super::phase::Factors;
use crate::conv::bf16::convert;
use crate::conv::epilogue::Epilogue;
use crate::conv::kernel::ConvKernel;
use crate::conv::problem::Operation;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::machine::Machine;
use crate::maps::{MapDst, MapSrc};
use crate::memory::{Dst, Src};
use crate::simd::Isa;

/// A convolution, forward or backward-data.
pub struct DotConvolution {
    direct: DirectConvolution,
    /// Elements of the map that is read.
    input: usize,
}

/// Floats that hold so many bf16, rounded up so that what follows is aligned.
fn room(elements: usize) -> usize {
    elements.div_ceil(2).next_multiple_of(ALIGN / size_of::<f32>())
}

impl DotConvolution {
    /// Whether there is an instruction for it, and channels of each group are pairs.
    pub fn applies(g: &ConvGeometry, operation: Operation, machine: Machine) -> bool {
        let reads = if operation == Operation::Forward { g.cin } else { g.cout };
        machine.isa == Isa::Avx512Bf16 && (reads / g.attrs.groups).is_multiple_of(2)
    }

    /// `y` of `x`, or `dx` of `dy`, which it [applies](DotConvolution::applies) to.
    pub fn new(g: ConvGeometry, operation: Operation, machine: Machine) -> Result<Self> {
        let [input, _] = operation.maps(&g);
        let direct = DirectConvolution::new(g, operation, Factors::Bf16Pairs, machine.isa, machine.threads)?;
        Ok(DotConvolution { direct, input })
    }
}

impl ConvKernel for DotConvolution {
    fn packed_len(&self) -> usize {
        self.direct.packed_len()
    }

    fn scratch_len(&self, threads: usize) -> usize {
        room(self.input) + self.direct.scratch_len(threads)
    }

    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        self.direct.pack(ctx, weight, packed);
    }

    fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let (rounded, scratch) = scratch.split_at(room(self.input));
        let pairs = match input {
            MapSrc::Bf16(map) => map.pairs(),
            MapSrc::F32(map) => {
                let (rounded, _) = rounded.halves().split_at(self.input);
                convert(ctx, map, rounded);
                rounded.src().pairs()
            }
        };
        self.direct.run_factors(ctx, pairs, packed, epilogue, scratch, output);
    }
}
