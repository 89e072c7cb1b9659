//! Which way a convolution is computed, decided when its plan is loaded.

use resnetc_compiler::plan::ConvGeometry;

use super::Operation;
use super::sweep::{Convolution, Finishing};
use super::transform::POINTS;
use super::winograd::Winograd;
use crate::cpu::Ctx;
use crate::cpu::isa::Isa;
use crate::cpu::memory::{Dst, Src};
use crate::device::Estimate;
use crate::error::Result;

/// A convolution, forward or backward-data, by the algorithm that the cost model expects to be the fastest.
pub enum Algorithm {
    /// Direct.
    Direct(Convolution),
    /// F(4x4, 3x3).
    Winograd(Winograd),
}

/// What the cost model takes one thread to do in a cycle: estimates, whose choices with AVX-512 were the faster ones or
/// within a tenth of them in every layer of `benches/NOTES.md`. Only the ratios matter.
mod cost {
    /// Multiply-adds of vectors in the direct convolution.
    pub const DIRECT: f64 = 1.2;
    /// Multiply-adds of vectors in the products of transformed patches, whose sums are shorter.
    pub const PRODUCTS: f64 = 0.9;
    /// Cycles to transform a vector of patches, either way.
    pub const PATCH: f64 = 200.0;
    /// Bytes of transformed weights from the last-level cache.
    pub const BYTES: f64 = 6.0;
}

fn estimate_direct(g: &ConvGeometry, isa: Isa) -> Estimate {
    let cycles = g.macs() as f64 / isa.lanes() as f64 / cost::DIRECT;
    Estimate { algorithm: "direct", parts: vec![("multiply-adds", cycles)] }
}

fn estimate_winograd(winograd: &Winograd, isa: Isa) -> Estimate {
    let [reads, writes] = winograd.channels().map(|channels| channels as f64);
    let (lanes, patches) = (isa.lanes() as f64, winograd.count() as f64);
    let products = patches * POINTS as f64 * reads * writes / lanes / cost::PRODUCTS;
    let transforms = patches * (reads + writes) / lanes * cost::PATCH;
    let weights = (winograd.packed_len() * size_of::<f32>() * winograd.weight_reads()) as f64 / cost::BYTES;
    let parts = vec![("products", products), ("transforms", transforms), ("weights", weights)];
    Estimate { algorithm: "winograd", parts }
}

impl Algorithm {
    /// `y = conv(x, weight)`.
    pub fn forward(geometry: ConvGeometry, isa: Isa, threads: usize) -> Result<Self> {
        match Self::winograd(&geometry, Operation::Forward, isa, threads)? {
            Some(winograd) => Ok(Algorithm::Winograd(winograd)),
            None => Ok(Algorithm::Direct(Convolution::forward(geometry, isa, threads)?)),
        }
    }

    /// `dx` of `dy` and `weight`.
    pub fn backward_data(geometry: ConvGeometry, isa: Isa, threads: usize) -> Result<Self> {
        match Self::winograd(&geometry, Operation::BackwardData, isa, threads)? {
            Some(winograd) => Ok(Algorithm::Winograd(winograd)),
            None => Ok(Algorithm::Direct(Convolution::backward_data(geometry, isa, threads)?)),
        }
    }

    /// What [`Algorithm::forward`] decides by.
    pub fn estimates_forward(g: &ConvGeometry, isa: Isa, threads: usize) -> Result<Vec<Estimate>> {
        Self::estimates(g, Operation::Forward, isa, threads)
    }

    /// What [`Algorithm::backward_data`] decides by.
    pub fn estimates_backward_data(g: &ConvGeometry, isa: Isa, threads: usize) -> Result<Vec<Estimate>> {
        Self::estimates(g, Operation::BackwardData, isa, threads)
    }

    fn estimates(g: &ConvGeometry, operation: Operation, isa: Isa, threads: usize) -> Result<Vec<Estimate>> {
        let mut estimates = vec![estimate_direct(g, isa)];
        if Winograd::applies(g, isa) {
            estimates.push(estimate_winograd(&Winograd::new(g, operation, isa, threads)?, isa));
        }
        Ok(estimates)
    }

    /// F(4x4, 3x3) where it applies and pays.
    fn winograd(
        g: &ConvGeometry,
        operation: Operation,
        isa: Isa,
        threads: usize,
    ) -> Result<Option<Winograd>> {
        if !Winograd::applies(g, isa) {
            return Ok(None);
        }
        let winograd = Winograd::new(g, operation, isa, threads)?;
        let pays = estimate_winograd(&winograd, isa).cycles() < estimate_direct(g, isa).cycles();
        Ok(pays.then_some(winograd))
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::Direct(_) => "direct",
            Algorithm::Winograd(_) => "winograd",
        }
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        match self {
            Algorithm::Direct(direct) => direct.packed_len(),
            Algorithm::Winograd(winograd) => winograd.packed_len(),
        }
    }

    /// Floats of scratch memory that [`Algorithm::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        match self {
            Algorithm::Direct(direct) => direct.scratch_len(threads),
            Algorithm::Winograd(winograd) => winograd.scratch_len(threads),
        }
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        match self {
            Algorithm::Direct(direct) => direct.pack(ctx, weight, packed),
            Algorithm::Winograd(winograd) => winograd.pack(ctx, weight, packed),
        }
    }

    /// Computes the result: of `x` forward, of `dy` backward.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, f32>,
        packed: Src<'_, f32>,
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: Dst<'_, f32>,
    ) {
        match self {
            Algorithm::Direct(direct) => direct.run(ctx, input, packed, finishing, scratch, output),
            Algorithm::Winograd(winograd) => winograd.run(ctx, input, packed, finishing, scratch, output),
        }
    }
}
