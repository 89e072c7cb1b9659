//! Where AMX is worth while.

use super::filter::AmxFilter;
use super::forward::AmxConvolution;
use super::split::Split;
use crate::choice::Multiplier;
use crate::conv::kernel::{ConvAlgorithm, ConvKernel, FilterKernel, Offer};
use crate::conv::problem::{Operation, Problem};
use crate::error::Result;

/// On AMX: in bf16 of rounded factors, in `f32` of factors split into three.
pub struct Amx;

fn multiplier(split: Split) -> Option<Multiplier> {
    Some(Multiplier { products: split.products(), ..Multiplier::AMX })
}

impl ConvAlgorithm for Amx {
    fn convolution(&self, problem: &Problem, operation: Operation) -> Result<Option<Offer<dyn ConvKernel>>> {
        let split = Split::of(problem);
        let offered = AmxConvolution::offer(problem.geometry, operation, split, problem.machine);
        Ok(offered.map(|(convolution, estimate)| Offer {
            estimate,
            multiplier: multiplier(split),
            make: Box::new(move || {
                let kernel: Box<dyn ConvKernel> = Box::new(convolution);
                Ok(kernel)
            }),
        }))
    }

    fn filter_gradient(&self, problem: &Problem) -> Result<Option<Offer<dyn FilterKernel>>> {
        let split = Split::of(problem);
        let offered = AmxFilter::offer(problem.geometry, split, problem.machine);
        Ok(offered.map(|(gradient, estimate)| Offer {
            estimate,
            multiplier: multiplier(split),
            make: Box::new(move || {
                let kernel: Box<dyn FilterKernel> = Box::new(gradient);
                Ok(kernel)
            }),
        }))
    }
}
