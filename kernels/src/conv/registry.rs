//! All algorithms for convolutions, and which of them a layer takes: decided when its plan is loaded.

use super::direct::{Bf16Dot, Direct};
use super::kernel::{ConvAlgorithm, ConvKernel, FilterKernel, Offer};
use super::problem::{Operation, Problem};
use super::winograd::{Size, Winograd};
use crate::choice::{Choice, Estimate};
use crate::error::Result;

/// All there are. Of those that are expected to cost the same the first is taken.
static ALGORITHMS: &[&dyn ConvAlgorithm] = &[
    &Direct,
    &Winograd(Size::Four),
    &Winograd(Size::Two),
    &Bf16Dot,
    #[cfg(target_arch = "x86_64")]
    &super::amx::Amx,
];

/// The kernel of a convolution: by the algorithm that was `measured` to be the fastest or, as a rule,
/// that the cost model expects to be.
pub fn convolution(
    problem: &Problem,
    operation: Operation,
    measured: Option<&str>,
) -> Result<(Box<dyn ConvKernel>, Choice)> {
    let offers =
        ALGORITHMS.iter().filter_map(|algorithm| algorithm.convolution(problem, operation).transpose());
    choose(offers.collect::<Result<_>>()?, measured)
}

/// The kernel of the gradient of a convolution's weights, likewise.
pub fn filter_gradient(problem: &Problem, measured: Option<&str>) -> Result<(Box<dyn FilterKernel>, Choice)> {
    let offers = ALGORITHMS.iter().filter_map(|algorithm| algorithm.filter_gradient(problem).transpose());
    choose(offers.collect::<Result<_>>()?, measured)
}

fn choose<K: ?Sized>(mut offers: Vec<Offer<K>>, measured: Option<&str>) -> Result<(Box<K>, Choice)> {
    let estimates: Vec<Estimate> = offers.iter().map(|offer| offer.estimate.clone()).collect();
    let Offer { estimate, multiplier, make } = offers.swap_remove(pick(&estimates, measured));
    let algorithm = estimate.algorithm;
    Ok((
        make()?,
        Choice { algorithm, variant: None, measured: measured == Some(algorithm), multiplier, estimates },
    ))
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

/// The kernel of the algorithm of this name, which has to apply.
#[cfg(test)]
pub fn convolution_by(name: &str, problem: &Problem, operation: Operation) -> Box<dyn ConvKernel> {
    let mut offers = ALGORITHMS.iter().filter_map(|a| a.convolution(problem, operation).unwrap());
    (offers.find(|offer| offer.estimate.algorithm == name).expect("it applies").make)().unwrap()
}

/// Likewise.
#[cfg(test)]
pub fn filter_gradient_by(name: &str, problem: &Problem) -> Box<dyn FilterKernel> {
    let mut offers = ALGORITHMS.iter().filter_map(|a| a.filter_gradient(problem).unwrap());
    (offers.find(|offer| offer.estimate.algorithm == name).expect("it applies").make)().unwrap()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "x86_64")]
    use resnetc_compiler::ir::types::DType;
    use resnetc_compiler::plan::ConvGeometry;

    use super::*;
    use crate::conv::tests::{geometry, square};
    use crate::machine::Machine;
    use crate::simd::Isa;

    fn taken(geometry: ConvGeometry, machine: Machine) -> &'static str {
        convolution(&Problem { geometry, machine }, Operation::Forward, None).unwrap().1.algorithm
    }

    /// A network's wide 3x3 layers are worth the transforms, its strided ones and those on tiny maps are not.
    #[test]
    fn the_algorithm_follows_the_cost() {
        let name = |n, size: usize, channels: usize, stride| {
            let g = geometry(n, [size; 2], [channels; 2], square(3, stride, 1, 1)).unwrap();
            taken(g, Machine { isa: Isa::Portable, threads: 2, amx_slowness: Some(1.0) })
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
            taken(g, Machine { isa: Isa::Avx512, threads: 2, amx_slowness: Some(1.0) })
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
            taken(g, Machine { isa: Isa::Amx, threads: 2, amx_slowness })
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
            taken(g, machine)
        };
        assert_eq!(name(DType::Bf16, [512, 128], square(1, 1, 0, 1)), "direct-vdpbf16ps");
        assert_eq!(name(DType::Bf16, [64, 64], square(3, 2, 1, 4)), "direct-vdpbf16ps");
        assert_eq!(name(DType::Bf16, [128, 128], square(3, 1, 1, 1)), "winograd");
        assert_eq!(name(DType::Bf16, [3, 64], square(7, 2, 3, 1)), "direct-bf16");
        assert_eq!(name(DType::F32, [512, 128], square(1, 1, 0, 1)), "direct");
    }
}
