//! Which way a convolution is computed, decided when its plan is loaded.

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::ConvGeometry;

use super::amx::{AmxConvolution, AmxFilter, Split};
use super::epilogue::Epilogue;
use super::problem::Operation;
use super::winograd::{Size, Winograd, WinogradFilter};
use crate::cpu::conv::bf16::dot::DotConvolution;
use crate::cpu::conv::bf16::rounded::{RoundedConvolution, RoundedFilter, Wide, WideFilter};
use crate::cpu::conv::direct::filter::DirectFilter;
use crate::cpu::conv::direct::forward::DirectConvolution;
use crate::cpu::conv::direct::phase::Factors;
use crate::cpu::ctx::Ctx;
use crate::cpu::machine::Machine;
use crate::cpu::maps::{MapDst, MapSrc};
use crate::cpu::memory::{Dst, Src};
use crate::device::Estimate;
use crate::error::Result;

/// A convolution, forward or backward-data, by the algorithm that was measured to be the fastest or, as a rule, that the cost
/// model expects to be.
pub enum Algorithm {
    /// Direct.
    Direct(DirectConvolution),
    /// F(4x4, 3x3) or F(2x2, 3x3).
    Winograd(Winograd),
    /// On AMX.
    Amx(Box<AmxConvolution>),
    /// By one of the first two, of factors rounded to bf16.
    Rounded(RoundedConvolution),
    /// Direct, of pairs of bf16.
    Dot(DotConvolution),
}

/// The gradient of a convolution's weights, likewise.
pub enum FilterAlgorithm {
    /// Direct.
    Direct(DirectFilter),
    /// F(4x4, 3x3).
    Winograd(WinogradFilter),
    /// On AMX.
    Amx(AmxFilter),
    /// By one of the first two, of factors rounded to bf16.
    Rounded(RoundedFilter),
}

/// What the cost model takes one thread to do in a cycle: estimates, set by ResNet-50's layers with AVX-512
/// (`benches/NOTES.md`). Only the ratios matter.
mod cost {
    /// Multiply-adds of vectors in the direct convolution.
    pub const DIRECT: f64 = 1.6;
    /// The same in the direct gradient of weights.
    pub const DIRECT_FILTER: f64 = 1.2;
    /// Elements of maps widened from bf16, or narrowed to it.
    pub const CONVERSIONS: f64 = 1.0;
}

/// As what AMX multiplies the factors.
fn split(g: &ConvGeometry) -> Split {
    if g.precision == DType::Bf16 { Split::Bf16x1 } else { Split::Bf16x3 }
}

/// Cycles of the direct convolution on each thread, of so many multiply-adds of vectors each.
fn cycles(g: &ConvGeometry, machine: Machine, rate: f64) -> f64 {
    g.macs() as f64 / machine.isa.lanes() as f64 / rate / machine.threads as f64
}

/// An estimate with what rounding factors in bf16 takes: elements of so many maps are widened or narrowed.
fn rounded(mut estimate: Estimate, g: &ConvGeometry, maps: &[usize], machine: Machine) -> Estimate {
    if g.precision == DType::Bf16 {
        let elements = maps.iter().sum::<usize>() as f64;
        estimate.parts.push(("conversions", elements / cost::CONVERSIONS / machine.threads as f64));
    }
    estimate
}

/// Of the direct convolution.
fn estimate_direct(g: &ConvGeometry, machine: Machine, rate: f64) -> Estimate {
    let algorithm = if g.precision == DType::Bf16 { "direct-bf16" } else { "direct" };
    Estimate { algorithm, parts: vec![("multiply-adds", cycles(g, machine, rate))] }
}

/// Times the fewest expected cycles up to which an algorithm is believed to be, or to have been measured as, the fastest: beyond,
/// what it ran on then is not there now, as AMX is not where others slow it down.
const PLAUSIBLE_RATIO: f64 = 3.0;

/// Whether one of a layer's algorithms may be the fastest, for all the cost model knows.
pub fn plausible(estimate: &Estimate, all: &[Estimate]) -> bool {
    let fewest = all.iter().map(Estimate::cycles).fold(f64::INFINITY, f64::min);
    estimate.cycles() <= PLAUSIBLE_RATIO * fewest
}

/// Index of the algorithm to take: the one `measured` to be the fastest, if it may still be, else the one with the fewest
/// expected cycles.
fn pick(estimates: &[Estimate], measured: Option<&str>) -> usize {
    let usable = |estimate: &Estimate| Some(estimate.algorithm) == measured && plausible(estimate, estimates);
    let cycles = estimates.iter().map(Estimate::cycles).enumerate();
    let expected = cycles.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index);
    estimates.iter().position(usable).unwrap_or(expected)
}

impl Algorithm {
    /// `y = conv(x, weight)`; see [`crate::cpu::tune`] for what was `measured`.
    pub fn forward(geometry: ConvGeometry, machine: Machine, measured: Option<&str>) -> Result<Self> {
        Self::choose(geometry, Operation::Forward, machine, measured)
    }

    /// `dx` of `dy` and `weight`.
    pub fn backward_data(geometry: ConvGeometry, machine: Machine, measured: Option<&str>) -> Result<Self> {
        Self::choose(geometry, Operation::BackwardData, machine, measured)
    }

    /// What [`Algorithm::forward`] decides by.
    pub fn estimates_forward(g: &ConvGeometry, machine: Machine) -> Result<Vec<Estimate>> {
        let operation = Operation::Forward;
        Ok(Self::estimates(g, operation, machine, &Self::others(g, operation, machine)?))
    }

    /// What [`Algorithm::backward_data`] decides by.
    pub fn estimates_backward_data(g: &ConvGeometry, machine: Machine) -> Result<Vec<Estimate>> {
        let operation = Operation::BackwardData;
        Ok(Self::estimates(g, operation, machine, &Self::others(g, operation, machine)?))
    }

    /// Of the direct algorithm and the others.
    fn estimates(
        g: &ConvGeometry,
        operation: Operation,
        machine: Machine,
        others: &[(Self, Estimate)],
    ) -> Vec<Estimate> {
        let [input, _] = operation.maps(g);
        let direct = rounded(estimate_direct(g, machine, cost::DIRECT), g, &[input], machine);
        let others = others.iter().map(|(_, estimate)| estimate.clone());
        std::iter::once(direct).chain(others).collect()
    }

    /// The algorithms beside the direct one that apply.
    fn others(g: &ConvGeometry, operation: Operation, machine: Machine) -> Result<Vec<(Self, Estimate)>> {
        let Machine { isa, threads, .. } = machine;
        let mut others = Vec::new();
        if Winograd::applies(g, isa) {
            for size in [Size::Four, Size::Two] {
                let winograd = Winograd::new(size, g, operation, isa, threads)?;
                let estimate = rounded(winograd.estimate().clone(), g, &operation.maps(g), machine);
                others.push((Self::of(g, operation, Wide::Winograd(winograd)), estimate));
            }
        }
        if g.precision == DType::Bf16 && DotConvolution::applies(g, operation, machine) {
            let pairs = DotConvolution::new(*g, operation, machine)?;
            let products = cycles(g, machine, 2.0 * cost::DIRECT);
            let estimate =
                Estimate { algorithm: "direct-vdpbf16ps", parts: vec![("multiply-adds", products)] };
            others.push((Algorithm::Dot(pairs), estimate));
        }
        if let Some((matrix, estimate)) = AmxConvolution::offer(*g, operation, split(g), machine) {
            others.push((Algorithm::Amx(Box::new(matrix)), estimate));
        }
        Ok(others)
    }

    /// By this algorithm for f32.
    fn of(g: &ConvGeometry, operation: Operation, wide: Wide) -> Self {
        match (g.precision, wide) {
            (DType::Bf16, wide) => Algorithm::Rounded(RoundedConvolution::new(g, operation, wide)),
            (_, Wide::Direct(direct)) => Algorithm::Direct(direct),
            (_, Wide::Winograd(winograd)) => Algorithm::Winograd(winograd),
        }
    }

    fn choose(
        g: ConvGeometry,
        operation: Operation,
        machine: Machine,
        measured: Option<&str>,
    ) -> Result<Self> {
        let Machine { isa, threads, .. } = machine;
        let mut others = Self::others(&g, operation, machine)?;
        match pick(&Self::estimates(&g, operation, machine, &others), measured) {
            0 => {
                let direct = DirectConvolution::new(g, operation, Factors::Floats, isa, threads)?;
                Ok(Self::of(&g, operation, Wide::Direct(direct)))
            }
            index => Ok(others.swap_remove(index - 1).0),
        }
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::Direct(_) => "direct",
            Algorithm::Winograd(winograd) => winograd.estimate().algorithm,
            Algorithm::Amx(matrix) => matrix.name(),
            Algorithm::Rounded(rounded) => rounded.name(),
            Algorithm::Dot(_) => "direct-vdpbf16ps",
        }
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        match self {
            Algorithm::Direct(direct) => direct.packed_len(),
            Algorithm::Winograd(winograd) => winograd.packed_len(),
            Algorithm::Amx(matrix) => matrix.packed_len(),
            Algorithm::Rounded(rounded) => rounded.packed_len(),
            Algorithm::Dot(pairs) => pairs.packed_len(),
        }
    }

    /// Floats of scratch memory that [`Algorithm::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        match self {
            Algorithm::Direct(direct) => direct.scratch_len(threads),
            Algorithm::Winograd(winograd) => winograd.scratch_len(threads),
            Algorithm::Amx(matrix) => matrix.scratch_len(threads),
            Algorithm::Rounded(rounded) => rounded.scratch_len(threads),
            Algorithm::Dot(pairs) => pairs.scratch_len(threads),
        }
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        match self {
            Algorithm::Direct(direct) => direct.pack(ctx, weight, packed),
            Algorithm::Winograd(winograd) => winograd.pack(ctx, weight, packed),
            Algorithm::Amx(matrix) => matrix.pack(ctx, weight, packed),
            Algorithm::Rounded(rounded) => rounded.pack(ctx, weight, packed),
            Algorithm::Dot(pairs) => pairs.pack(ctx, weight, packed),
        }
    }

    /// Computes the result: of `x` forward, of `dy` backward.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        match self {
            Algorithm::Direct(direct) => direct.run(ctx, input.f32(), packed, epilogue, scratch, output),
            Algorithm::Winograd(winograd) => {
                winograd.run(ctx, input.f32(), packed, epilogue, scratch, output.f32());
            }
            Algorithm::Amx(matrix) => matrix.run(ctx, input, packed, epilogue, scratch, output),
            Algorithm::Rounded(rounded) => rounded.run(ctx, input, packed, epilogue, scratch, output),
            Algorithm::Dot(pairs) => pairs.run(ctx, input, packed, epilogue, scratch, output),
        }
    }
}

impl FilterAlgorithm {
    /// `dw` of `x` and `dy`; see [`crate::cpu::tune`] for what was `measured`.
    pub fn new(geometry: ConvGeometry, machine: Machine, measured: Option<&str>) -> Result<Self> {
        let Machine { isa, threads, .. } = machine;
        let mut others = Self::others(&geometry, machine)?;
        match pick(&Self::with_direct(&geometry, machine, &others), measured) {
            0 => {
                let direct = DirectFilter::new(geometry, isa, threads)?;
                Ok(Self::of(&geometry, WideFilter::Direct(direct)))
            }
            index => Ok(others.swap_remove(index - 1).0),
        }
    }

    /// By this algorithm for f32.
    fn of(g: &ConvGeometry, wide: WideFilter) -> Self {
        match (g.precision, wide) {
            (DType::Bf16, wide) => FilterAlgorithm::Rounded(RoundedFilter::new(g, wide)),
            (_, WideFilter::Direct(direct)) => FilterAlgorithm::Direct(direct),
            (_, WideFilter::Winograd(winograd)) => FilterAlgorithm::Winograd(winograd),
        }
    }

    /// The algorithms beside the direct one that apply.
    fn others(g: &ConvGeometry, machine: Machine) -> Result<Vec<(Self, Estimate)>> {
        let Machine { isa, threads, .. } = machine;
        let mut others = Vec::new();
        if WinogradFilter::applies(g, isa) {
            let winograd = WinogradFilter::new(g, isa, threads)?;
            let maps = Operation::Forward.maps(g);
            let estimate = rounded(winograd.estimate(isa, threads), g, &maps, machine);
            others.push((Self::of(g, WideFilter::Winograd(winograd)), estimate));
        }
        if let Some((matrix, estimate)) = AmxFilter::offer(*g, split(g), machine) {
            others.push((FilterAlgorithm::Amx(matrix), estimate));
        }
        Ok(others)
    }

    /// What [`FilterAlgorithm::new`] decides by.
    pub fn estimates(g: &ConvGeometry, machine: Machine) -> Result<Vec<Estimate>> {
        Ok(Self::with_direct(g, machine, &Self::others(g, machine)?))
    }

    /// Of the direct algorithm and the others.
    fn with_direct(g: &ConvGeometry, machine: Machine, others: &[(Self, Estimate)]) -> Vec<Estimate> {
        let direct = estimate_direct(g, machine, cost::DIRECT_FILTER);
        let direct = rounded(direct, g, &Operation::Forward.maps(g), machine);
        let others = others.iter().map(|(_, estimate)| estimate.clone());
        std::iter::once(direct).chain(others).collect()
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self {
            FilterAlgorithm::Direct(_) => "direct",
            FilterAlgorithm::Winograd(_) => "winograd",
            FilterAlgorithm::Amx(matrix) => matrix.name(),
            FilterAlgorithm::Rounded(rounded) => rounded.name(),
        }
    }

    /// Floats of scratch memory that [`FilterAlgorithm::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        match self {
            FilterAlgorithm::Direct(direct) => direct.scratch_len(threads),
            FilterAlgorithm::Winograd(winograd) => winograd.scratch_len(threads),
            FilterAlgorithm::Amx(matrix) => matrix.scratch_len(threads),
            FilterAlgorithm::Rounded(rounded) => rounded.scratch_len(threads),
        }
    }

    /// Computes `dw`.
    pub fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        match self {
            FilterAlgorithm::Direct(direct) => direct.run(ctx, x.f32(), dy.f32(), scratch, dw),
            FilterAlgorithm::Winograd(winograd) => winograd.run(ctx, x.f32(), dy.f32(), scratch, dw),
            FilterAlgorithm::Amx(matrix) => matrix.run(ctx, x, dy, scratch, dw),
            FilterAlgorithm::Rounded(rounded) => rounded.run(ctx, x, dy, scratch, dw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::conv::tests::{geometry, square};
    use crate::cpu::simd::Isa;

    /// A network's wide 3x3 layers are worth the transforms, its strided ones and those on tiny maps are not.
    #[test]
    fn the_algorithm_follows_the_cost() {
        let name = |n, size: usize, channels: usize, stride| {
            let g = geometry(n, [size; 2], [channels; 2], square(3, stride, 1, 1)).unwrap();
            Algorithm::forward(g, Machine { isa: Isa::Portable, threads: 2, amx_slowness: Some(1.0) }, None)
                .unwrap()
                .name()
        };
        assert_eq!(name(1, 56, 64, 1), "winograd");
        assert_eq!(name(128, 32, 16, 1), "winograd");
        assert_eq!(name(1, 4, 512, 1), "direct");
        assert_eq!(name(1, 56, 64, 2), "direct");
        assert_eq!(name(8, 32, 20, 1), "direct");
    }

    /// Of maps of few pixels the weights take the time: patches of 2x2 pixels have less of them.
    #[test]
    fn small_maps_take_small_patches() {
        let name = |size, channels| {
            let g = geometry(1, [size; 2], [channels; 2], square(3, 1, 1, 1)).unwrap();
            Algorithm::forward(g, Machine { isa: Isa::Avx512, threads: 2, amx_slowness: Some(1.0) }, None)
                .unwrap()
                .name()
        };
        assert_eq!(name(56, 64), "winograd");
        assert_eq!(name(28, 128), "winograd");
        assert_eq!(name(14, 256), "winograd-2x2");
    }

    /// In single precision a slow AMX is slower than vectors; rounded factors stay on it.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn slow_amx_is_left_to_rounded_factors() {
        let name = |precision, amx_slowness| {
            let mut g = geometry(1, [28; 2], [512, 128], square(1, 1, 0, 1)).unwrap();
            g.precision = precision;
            Algorithm::forward(g, Machine { isa: Isa::Amx, threads: 2, amx_slowness }, None).unwrap().name()
        };
        assert_eq!(name(DType::F32, Some(1.0)), "amx-f32");
        assert_eq!(name(DType::F32, Some(4.0)), "direct");
        assert_eq!(name(DType::F32, None), "direct");
        assert_eq!(name(DType::Bf16, Some(4.0)), "amx-bf16");
        assert_eq!(name(DType::Bf16, None), "amx-bf16");
    }

    /// Pairs take half the steps, which large patches of a 3x3 window still undercut; elsewhere, and of odd channels, floats remain.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn dot_products_are_taken_in_bf16_alone() {
        let name = |precision, channels, attrs| {
            let mut g = geometry(1, [28; 2], channels, attrs).unwrap();
            g.precision = precision;
            let machine = Machine { isa: Isa::Avx512Bf16, threads: 2, amx_slowness: None };
            Algorithm::forward(g, machine, None).unwrap().name()
        };
        assert_eq!(name(DType::Bf16, [512, 128], square(1, 1, 0, 1)), "direct-vdpbf16ps");
        assert_eq!(name(DType::Bf16, [64, 64], square(3, 2, 1, 4)), "direct-vdpbf16ps");
        assert_eq!(name(DType::Bf16, [128, 128], square(3, 1, 1, 1)), "winograd");
        assert_eq!(name(DType::Bf16, [3, 64], square(7, 2, 3, 1)), "direct-bf16");
        assert_eq!(name(DType::F32, [512, 128], square(1, 1, 0, 1)), "direct");
    }
}
