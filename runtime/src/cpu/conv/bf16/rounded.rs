//! Convolutions in bf16 where there is no AMX: factors are rounded to bf16, then multiplied as f32 by the algorithms for
//! f32. The numbers are those of AMX but for the last bits of their sums, the speed is f32's.

use resnetc_compiler::plan::{ALIGN, ConvGeometry};

use super::convert::{convert, round, rounded_copy};
use crate::cpu::conv::direct::filter::DirectFilter;
use crate::cpu::conv::direct::forward::DirectConvolution;
use crate::cpu::conv::epilogue::Epilogue;
use crate::cpu::conv::problem::Operation;
use crate::cpu::conv::winograd::{Winograd, WinogradFilter};
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapDst, MapSrc};
use crate::cpu::memory::{Dst, Src};

/// What multiplies the rounded factors of a convolution, forward or backward-data.
pub enum Wide {
    /// Direct.
    Direct(DirectConvolution),
    /// F(4x4, 3x3) or F(2x2, 3x3).
    Winograd(Winograd),
}

/// What multiplies those of a gradient of weights.
#[allow(clippy::large_enum_variant)] // as in `FilterAlgorithm`, one is made per step
pub enum WideFilter {
    /// Direct.
    Direct(DirectFilter),
    /// F(4x4, 3x3).
    Winograd(WinogradFilter),
}

/// A convolution, forward or backward-data.
pub struct RoundedConvolution {
    wide: Wide,
    /// Elements of the map that is read, and of the one that is written.
    maps: [usize; 2],
    /// Elements of the weights.
    weights: usize,
}

/// The gradient of a convolution's weights.
pub struct RoundedFilter {
    wide: WideFilter,
    /// Elements of `x` and of `dy`.
    inputs: [usize; 2],
}

/// Rounded up so that what follows is aligned.
fn room(floats: usize) -> usize {
    floats.next_multiple_of(ALIGN / size_of::<f32>())
}

impl RoundedConvolution {
    /// `y` of `x`, or `dx` of `dy`, as `wide` does it.
    pub(in crate::cpu::conv) fn new(g: &ConvGeometry, operation: Operation, wide: Wide) -> Self {
        let weights = g.attrs.kernel[0] * g.attrs.kernel[1] * g.cin / g.attrs.groups * g.cout;
        RoundedConvolution { wide, maps: operation.maps(g), weights }
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match &self.wide {
            Wide::Direct(_) => "direct-bf16",
            Wide::Winograd(winograd) => winograd.estimate().algorithm,
        }
    }

    /// Floats of the packed weights, and of the weights while they are packed.
    pub fn packed_len(&self) -> usize {
        match &self.wide {
            Wide::Direct(direct) => direct.packed_len(),
            Wide::Winograd(winograd) => room(winograd.packed_len()) + self.weights,
        }
    }

    /// Floats of scratch memory that [`RoundedConvolution::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        let [input, output] = self.maps.map(room);
        match &self.wide {
            Wide::Direct(direct) => input + direct.scratch_len(threads),
            Wide::Winograd(winograd) => input + output + winograd.scratch_len(threads),
        }
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        match &self.wide {
            Wide::Direct(direct) => {
                direct.pack(ctx, weight, packed);
                let (packed, _) = packed.split_at(direct.packed_len());
                round(ctx, packed.src(), packed);
            }
            // What is packed are sums of weights: they are rounded before.
            Wide::Winograd(winograd) => {
                let (packed, rounded) = packed.split_at(room(winograd.packed_len()));
                let (rounded, _) = rounded.split_at(self.weights);
                round(ctx, weight, rounded);
                winograd.pack(ctx, rounded.src(), packed);
            }
        }
    }

    /// Computes the result: of `x` forward, of `dy` backward. A map that is stored as bf16 is widened before and, by Winograd's
    /// algorithm, narrowed behind the convolution.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let (rounded, scratch) = scratch.split_at(room(self.maps[0]));
        let (rounded, _) = rounded.split_at(self.maps[0]);
        rounded_copy(ctx, input, rounded);
        let input = rounded.src();
        match (&self.wide, output) {
            (Wide::Direct(direct), output) => direct.run(ctx, input, packed, epilogue, scratch, output),
            (Wide::Winograd(winograd), MapDst::F32(output)) => {
                winograd.run(ctx, input, packed, epilogue, scratch, output);
            }
            (Wide::Winograd(winograd), MapDst::Bf16(output)) => {
                let (wide, scratch) = scratch.split_at(room(self.maps[1]));
                let (wide, _) = wide.split_at(self.maps[1]);
                let mut epilogue = *epilogue;
                if let Some(MapSrc::Bf16(residual)) = epilogue.residual {
                    convert(ctx, residual, wide);
                    epilogue.residual = Some(wide.src().into());
                }
                winograd.run(ctx, input, packed, &epilogue, scratch, wide);
                convert(ctx, wide.src(), output);
            }
        }
    }
}

impl RoundedFilter {
    /// `dw` of `x` and `dy`, as `wide` does it.
    pub fn new(g: &ConvGeometry, wide: WideFilter) -> Self {
        RoundedFilter { wide, inputs: Operation::Forward.maps(g) }
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match &self.wide {
            WideFilter::Direct(_) => "direct-bf16",
            WideFilter::Winograd(_) => "winograd",
        }
    }

    /// Floats of scratch memory that [`RoundedFilter::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        let wide = match &self.wide {
            WideFilter::Direct(direct) => direct.scratch_len(threads),
            WideFilter::Winograd(winograd) => winograd.scratch_len(threads),
        };
        self.inputs.map(room).iter().sum::<usize>() + wide
    }

    /// Computes `dw`.
    pub fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        let (rounded_x, scratch) = scratch.split_at(room(self.inputs[0]));
        let (rounded_dy, scratch) = scratch.split_at(room(self.inputs[1]));
        let [rounded_x, rounded_dy] = [(rounded_x, x), (rounded_dy, dy)].map(|(rounded, map)| {
            let (rounded, _) = rounded.split_at(map.len());
            rounded_copy(ctx, map, rounded);
            rounded.src()
        });
        match &self.wide {
            WideFilter::Direct(direct) => direct.run(ctx, rounded_x, rounded_dy, scratch, dw),
            WideFilter::Winograd(winograd) => winograd.run(ctx, rounded_x, rounded_dy, scratch, dw),
        }
    }
}
