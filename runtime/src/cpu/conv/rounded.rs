//! Convolutions in bf16 where no matrix unit does them: factors are rounded to bf16, then multiplied as f32 by the algorithms for
//! f32. The numbers are those of the matrix unit but for the last bits of their sums, the speed is f32's.

use resnetc_compiler::plan::{ALIGN, ConvGeometry};

use super::Operation;
use super::filter::FilterGradient;
use super::sweep::{Convolution, Finishing};
use super::winograd::{Winograd, WinogradFilter};
use crate::cpu::Ctx;
use crate::cpu::isa::Work;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stored::{MapDst, MapSrc};
use crate::cpu::stream::{Access, First, Full};
use crate::cpu::vector::{Vector, nearest_bf16};

/// What multiplies the rounded factors of a convolution, forward or backward-data.
pub enum Wide {
    /// Direct.
    Direct(Convolution),
    /// F(4x4, 3x3) or F(2x2, 3x3).
    Winograd(Winograd),
}

/// What multiplies those of a gradient of weights.
#[allow(clippy::large_enum_variant)] // as in `FilterAlgorithm`, one is made per step
pub enum WideFilter {
    /// Direct.
    Direct(FilterGradient),
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
    pub(super) fn new(g: &ConvGeometry, operation: Operation, wide: Wide) -> Self {
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
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let (rounded, scratch) = scratch.split_at(room(self.maps[0]));
        let (rounded, _) = rounded.split_at(self.maps[0]);
        rounded_copy(ctx, input, rounded);
        let input = rounded.src();
        match (&self.wide, output) {
            (Wide::Direct(direct), output) => direct.run(ctx, input, packed, finishing, scratch, output),
            (Wide::Winograd(winograd), MapDst::F32(output)) => {
                winograd.run(ctx, input, packed, finishing, scratch, output);
            }
            (Wide::Winograd(winograd), MapDst::Bf16(output)) => {
                let (wide, scratch) = scratch.split_at(room(self.maps[1]));
                let (wide, _) = wide.split_at(self.maps[1]);
                let mut finishing = *finishing;
                if let Some(MapSrc::Bf16(residual)) = finishing.residual {
                    convert(ctx, Widen { from: residual, to: wide });
                    finishing.residual = Some(wide.src().into());
                }
                winograd.run(ctx, input, packed, &finishing, scratch, wide);
                convert(ctx, Narrow { from: wide.src(), to: output });
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

/// Copies a map, rounded to bf16.
fn rounded_copy(ctx: &Ctx<'_>, map: MapSrc<'_>, to: Dst<'_, f32>) {
    match map {
        MapSrc::F32(map) => round(ctx, map, to),
        MapSrc::Bf16(map) => convert(ctx, Widen { from: map, to }),
    }
}

/// A conversion of a map, one vector at a time.
pub(super) trait Conversion: Sync {
    /// Elements.
    fn len(&self) -> usize;
    /// Converts the elements from `at` on.
    ///
    /// # Safety
    /// As [`Access`]; the elements are inside of both maps, and this thread's.
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize);
}

struct Widen<'a> {
    from: Src<'a, u16>,
    to: Dst<'a, f32>,
}

impl Conversion for Widen<'_> {
    fn len(&self) -> usize {
        assert_eq!(self.from.len(), self.to.len(), "a map and its wide copy");
        self.to.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { access.store(access.load_bf16::<V>(self.from.ptr().add(at)), self.to.ptr().add(at)) }
    }
}

/// Rounds to bf16.
pub(super) struct Narrow<'a> {
    /// In `f32`.
    pub from: Src<'a, f32>,
    /// As long.
    pub to: Dst<'a, u16>,
}

impl Conversion for Narrow<'_> {
    fn len(&self) -> usize {
        assert_eq!(self.from.len(), self.to.len(), "a map and its narrow copy");
        self.to.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { access.store_bf16(access.load::<V>(self.from.ptr().add(at)), self.to.ptr().add(at)) }
    }
}

/// Converts a whole map, each thread its share.
pub(super) fn convert(ctx: &Ctx<'_>, conversion: impl Conversion) {
    let (len, threads) = (conversion.len(), ctx.pool.threads());
    ctx.pool.run(&|thread| {
        let range = share(len, 16, thread, threads);
        ctx.isa.dispatch(Convert { conversion: &conversion, range });
    });
}

/// One thread's share of a conversion.
struct Convert<'a, C> {
    conversion: &'a C,
    range: std::ops::Range<usize>,
}

impl<C: Conversion> Work for Convert<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let std::ops::Range { start, end } = self.range;
        let whole = end - (end - start) % V::LANES;
        // SAFETY: threads convert disjoint ranges.
        unsafe {
            for at in (start..whole).step_by(V::LANES) {
                self.conversion.vector::<V>(Full, at);
            }
            if whole < end {
                self.conversion.vector::<V>(First(end - whole), whole);
            }
        }
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
            unsafe { self.to.ptr().add(at).write(nearest_bf16(*self.from.ptr().add(at))) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest_of_bf16() {
        for i in 0..2_000_000_u32 {
            let x = f32::from_bits(i.wrapping_mul(2_147_483_629));
            let (found, expected) = (nearest_bf16(x), half::bf16::from_f32(x).to_f32());
            assert!(found == expected || x.is_nan() && found.is_nan(), "{x:e}: {found:e}, {expected:e}");
        }
    }
}
