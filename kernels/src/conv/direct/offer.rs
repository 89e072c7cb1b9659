//! What the direct algorithms cost. They apply everywhere, but for pairs of bf16.

use super::dot::DotConvolution;
use super::filter::DirectFilter;
use super::forward::DirectConvolution;
use super::phase::Factors;
use crate::choice::Estimate;
use crate::choice::Multiplier;
use crate::conv::bf16::{boxed_convolution, boxed_filter, with_conversions};
use crate::conv::kernel::{ConvAlgorithm, ConvKernel, FilterKernel, Offer};
use crate::conv::problem::{Operation, Problem};
use crate::error::Result;
use crate::machine::Machine;

/// What the cost model takes one thread to do in a cycle: estimates, set by ResNet-50's layers with AVX-512
/// (`benches/NOTES.md`). Only the ratios matter.
mod cost {
    /// Multiply-adds of vectors in the direct convolution.
    pub const DIRECT: f64 = 1.6;
    /// The same in the direct gradient of weights.
    pub const DIRECT_FILTER: f64 = 1.2;
}

/// Of factors in `f32`, or of rounded ones that are multiplied as `f32`.
pub struct Direct;

/// An estimate of the multiply-adds alone.
fn estimate(problem: &Problem, rate: f64) -> Estimate {
    let algorithm = if problem.is_bf16() { "direct-bf16" } else { "direct" };
    Estimate { algorithm, parts: vec![("multiply-adds", problem.multiply_adds(rate))] }
}

impl ConvAlgorithm for Direct {
    fn convolution(&self, problem: &Problem, operation: Operation) -> Result<Option<Offer<dyn ConvKernel>>> {
        let problem = *problem;
        let Problem { geometry, machine: Machine { isa, threads, .. } } = problem;
        let [input, _] = operation.maps(&geometry);
        let estimate = with_conversions(estimate(&problem, cost::DIRECT), &problem, &[input]);
        let make = Box::new(move || {
            let direct = DirectConvolution::new(geometry, operation, Factors::Floats, isa, threads)?;
            Ok(boxed_convolution(&problem, operation, direct))
        });
        Ok(Some(Offer { estimate, multiplier: None, make }))
    }

    fn filter_gradient(&self, problem: &Problem) -> Result<Option<Offer<dyn FilterKernel>>> {
        let problem = *problem;
        let Problem { geometry, machine: Machine { isa, threads, .. } } = problem;
        let estimate = estimate(&problem, cost::DIRECT_FILTER);
        let estimate = with_conversions(estimate, &problem, &Operation::Forward.maps(&geometry));
        let make = Box::new(move || Ok(boxed_filter(&problem, DirectFilter::new(geometry, isa, threads)?)));
        Ok(Some(Offer { estimate, multiplier: None, make }))
    }
}

/// Of pairs of bf16, in half the steps.
pub struct Bf16Dot;

impl ConvAlgorithm for Bf16Dot {
    fn convolution(&self, problem: &Problem, operation: Operation) -> Result<Option<Offer<dyn ConvKernel>>> {
        let Problem { geometry, machine } = *problem;
        if !problem.is_bf16() || !DotConvolution::applies(&geometry, operation, machine) {
            return Ok(None);
        }
        let products = problem.multiply_adds(2.0 * cost::DIRECT);
        let estimate = Estimate { algorithm: "direct-vdpbf16ps", parts: vec![("multiply-adds", products)] };
        let make = Box::new(move || {
            let kernel: Box<dyn ConvKernel> = Box::new(DotConvolution::new(geometry, operation, machine)?);
            Ok(kernel)
        });
        Ok(Some(Offer { estimate, multiplier: Some(Multiplier::VDPBF16PS), make }))
    }
}
