//! What every algorithm for convolutions is: an entry of the registry's list, which offers kernels.
//!
//! A kernel is chosen once, when its plan is loaded, and called once a step: what is called through these traits has whole maps
//! for operands, never parts of a loop.

use super::epilogue::Epilogue;
use super::problem::{Operation, Problem};
use crate::choice::Estimate;
use crate::choice::Multiplier;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::maps::{MapDst, MapSrc};
use crate::memory::{Dst, Src};

/// A way to compute convolutions.
pub trait ConvAlgorithm: Sync {
    /// What it would do forward or backward-data; nothing where it does not apply.
    fn convolution(&self, problem: &Problem, operation: Operation) -> Result<Option<Offer<dyn ConvKernel>>>;

    /// What it would do for the gradient of the weights; nothing where it does not apply.
    fn filter_gradient(&self, _: &Problem) -> Result<Option<Offer<dyn FilterKernel>>> {
        Ok(None)
    }
}

/// What an algorithm would do, and what that is expected to cost.
pub struct Offer<K: ?Sized> {
    /// Its name, as `bench` prints it and tuning files have it, and its cost.
    pub estimate: Estimate,
    /// What it multiplies with; nothing for vectors of `f32`.
    pub multiplier: Option<Multiplier>,
    /// Makes the kernel.
    pub make: Make<K>,
}

/// Makes a kernel, if it is the one to take: a kernel may own memory.
pub type Make<K> = Box<dyn FnOnce() -> Result<Box<K>>>;

/// A convolution with everything decided that sizes decide: forward, of `x`, or backward-data, of `dy`.
pub trait ConvKernel: Send + Sync {
    /// Floats of the packed weights.
    fn packed_len(&self) -> usize;

    /// Floats of scratch memory that [`ConvKernel::run`] needs on so many threads.
    fn scratch_len(&self, threads: usize) -> usize;

    /// Packs HWIO weights.
    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>);

    /// Computes the result: of `x` forward, of `dy` backward. A residual is stored as the output is.
    fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    );
}

/// The gradient of a convolution's weights, likewise.
pub trait FilterKernel: Send + Sync {
    /// Floats of scratch memory that [`FilterKernel::run`] needs on so many threads.
    fn scratch_len(&self, threads: usize) -> usize;

    /// Computes `dw` of `x` and `dy`.
    fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>);
}
