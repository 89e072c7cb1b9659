//! Where Winograd's algorithm applies, and what it costs.

use resnetc_compiler::plan::ConvGeometry;

use super::filter::WinogradFilter;
use super::forward::WinogradConvolution;
use super::size::Size;
use crate::conv::bf16::{boxed_convolution, boxed_filter, with_conversions};
use crate::conv::kernel::{ConvAlgorithm, ConvKernel, FilterKernel, Offer};
use crate::conv::problem::{Operation, Problem};
use crate::error::Result;
use crate::machine::Machine;
use crate::simd::Isa;

/// By patches of this size; the gradient of the weights by those of 4x4 output pixels alone.
pub struct Winograd(pub Size);

/// Whether the algorithm applies: the window is its own, and all channels fill vectors.
pub fn applies(g: &ConvGeometry, isa: Isa) -> bool {
    let a = &g.attrs;
    let window = a.kernel == [3, 3] && a.stride == [1, 1] && a.dilation == [1, 1] && a.groups == 1;
    let whole = |channels: usize| channels.is_multiple_of(isa.lanes());
    window && a.padding.iter().all(|&p| p <= 2) && whole(g.cin) && whole(g.cout)
}

impl ConvAlgorithm for Winograd {
    fn convolution(&self, problem: &Problem, operation: Operation) -> Result<Option<Offer<dyn ConvKernel>>> {
        let problem = *problem;
        let Problem { geometry, machine: Machine { isa, threads, .. } } = problem;
        if !applies(&geometry, isa) {
            return Ok(None);
        }
        let winograd = WinogradConvolution::new(self.0, &geometry, operation, isa, threads)?;
        let estimate = winograd.estimate().clone();
        let estimate = with_conversions(estimate, &problem, &operation.maps(&geometry));
        let make = Box::new(move || Ok(boxed_convolution(&problem, operation, winograd)));
        Ok(Some(Offer { estimate, multiplier: None, make }))
    }

    fn filter_gradient(&self, problem: &Problem) -> Result<Option<Offer<dyn FilterKernel>>> {
        let problem = *problem;
        let Problem { geometry, machine: Machine { isa, threads, .. } } = problem;
        if self.0 != Size::Four || !applies(&geometry, isa) {
            return Ok(None);
        }
        let winograd = WinogradFilter::new(&geometry, isa, threads)?;
        let maps = Operation::Forward.maps(&geometry);
        let estimate = with_conversions(winograd.estimate(isa, threads), &problem, &maps);
        let make = Box::new(move || Ok(boxed_filter(&problem, winograd)));
        Ok(Some(Offer { estimate, multiplier: None, make }))
    }
}
