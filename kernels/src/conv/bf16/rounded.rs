//! Convolutions in bf16 where there is no AMX: factors are rounded to bf16, then multiplied as f32 by the algorithms for
//! f32. The numbers are those of AMX but for the last bits of their sums, the speed is f32's.

use resnetc_compiler::plan::{ALIGN, ConvGeometry};

use super::convert::{convert, round, rounded_copy};
use crate::choice::Estimate;
use crate::conv::epilogue::Epilogue;
use crate::conv::kernel::{ConvKernel, FilterKernel};
use crate::conv::problem::{Operation, Problem};
use crate::ctx::Ctx;
use crate::maps::{MapDst, MapSrc};
use crate::memory::{Dst, Src};

/// Elements of maps widened from bf16, or narrowed to it, that the cost model takes one thread to do in a cycle.
const CONVERSIONS: f64 = 1.0;

/// A convolution of f32, forward or backward-data, whose factors can be rounded before.
pub trait Wide: ConvKernel + 'static {
    /// Whether packed weights are sums of weights: those are then rounded before they are packed, else where they lie packed.
    const PACKS_SUMS: bool;
    /// Whether it stores results as bf16 itself; else they are narrowed behind it.
    const STORES_BF16: bool;
}

/// A gradient of weights of f32, whose factors can be rounded before.
pub trait WideFilter: FilterKernel + 'static {}

/// A convolution of the layer's precision.
pub fn boxed_convolution(problem: &Problem, operation: Operation, wide: impl Wide) -> Box<dyn ConvKernel> {
    match problem.is_bf16() {
        true => Box::new(RoundedConvolution::new(&problem.geometry, operation, wide)),
        false => Box::new(wide),
    }
}

/// A gradient of weights of the layer's precision.
pub fn boxed_filter(problem: &Problem, wide: impl WideFilter) -> Box<dyn FilterKernel> {
    match problem.is_bf16() {
        true => Box::new(RoundedFilter { wide, inputs: Operation::Forward.maps(&problem.geometry) }),
        false => Box::new(wide),
    }
}

/// An estimate with what rounding factors in bf16 takes: elements of so many maps are widened or narrowed.
pub fn with_conversions(mut estimate: Estimate, problem: &Problem, maps: &[usize]) -> Estimate {
    if problem.is_bf16() {
        let elements = maps.iter().sum::<usize>() as f64;
        estimate.parts.push(("conversions", elements / CONVERSIONS / problem.machine.threads as f64));
    }
    estimate
}

/// A convolution, forward or backward-data.
struct RoundedConvolution<K> {
    wide: K,
    /// Elements of the map that is read, and of the one that is written.
    maps: [usize; 2],
    /// Elements of the weights.
    weights: usize,
}

/// The gradient of a convolution's weights.
struct RoundedFilter<K> {
    wide: K,
    /// Elements of `x` and of `dy`.
    inputs: [usize; 2],
}

/// Rounded up so that what follows is aligned.
fn room(floats: usize) -> usize {
    floats.next_multiple_of(ALIGN / size_of::<f32>())
}

impl<K: Wide> RoundedConvolution<K> {
    /// `y` of `x`, or `dx` of `dy`, as `wide` does it.
    fn new(g: &ConvGeometry, operation: Operation, wide: K) -> Self {
        let weights = g.attrs.kernel[0] * g.attrs.kernel[1] * g.cin / g.attrs.groups * g.cout;
        RoundedConvolution { wide, maps: operation.maps(g), weights }
    }
}

impl<K: Wide> ConvKernel for RoundedConvolution<K> {
    /// With sums, room for the weights while they are packed.
    fn packed_len(&self) -> usize {
        let packed = self.wide.packed_len();
        if K::PACKS_SUMS { room(packed) + self.weights } else { packed }
    }

    fn scratch_len(&self, threads: usize) -> usize {
        let [input, output] = self.maps.map(room);
        let output = if K::STORES_BF16 { 0 } else { output };
        input + output + self.wide.scratch_len(threads)
    }

    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let len = self.wide.packed_len();
        if K::PACKS_SUMS {
            let (packed, rounded) = packed.split_at(room(len));
            let (rounded, _) = rounded.split_at(self.weights);
            round(ctx, weight, rounded);
            self.wide.pack(ctx, rounded.src(), packed);
        } else {
            self.wide.pack(ctx, weight, packed);
            let (packed, _) = packed.split_at(len);
            round(ctx, packed.src(), packed);
        }
    }

    /// A map that is stored as bf16 is widened before and, where the convolution stores none, narrowed behind it.
    fn run(
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
        let input = rounded.src().into();
        let MapDst::Bf16(narrow) = output else {
            return self.wide.run(ctx, input, packed, epilogue, scratch, output);
        };
        if K::STORES_BF16 {
            return self.wide.run(ctx, input, packed, epilogue, scratch, output);
        }
        let (wide, scratch) = scratch.split_at(room(self.maps[1]));
        let (wide, _) = wide.split_at(self.maps[1]);
        let mut epilogue = *epilogue;
        if let Some(MapSrc::Bf16(residual)) = epilogue.residual {
            convert(ctx, residual, wide);
            epilogue.residual = Some(wide.src().into());
        }
        self.wide.run(ctx, input, packed, &epilogue, scratch, wide.into());
        convert(ctx, wide.src(), narrow);
    }
}

impl<K: WideFilter> FilterKernel for RoundedFilter<K> {
    fn scratch_len(&self, threads: usize) -> usize {
        self.inputs.map(room).iter().sum::<usize>() + self.wide.scratch_len(threads)
    }

    fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        let (rounded_x, scratch) = scratch.split_at(room(self.inputs[0]));
        let (rounded_dy, scratch) = scratch.split_at(room(self.inputs[1]));
        let [rounded_x, rounded_dy] = [(rounded_x, x), (rounded_dy, dy)].map(|(rounded, map)| {
            let (rounded, _) = rounded.split_at(map.len());
            rounded_copy(ctx, map, rounded);
            rounded.src()
        });
        self.wide.run(ctx, rounded_x.into(), rounded_dy.into(), scratch, dw);
    }
}
