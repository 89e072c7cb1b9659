//! Stands in for AMX on processors that cannot have it: nothing applies, so nothing is ever made.

use std::convert::Infallible;

use resnetc_compiler::plan::ConvGeometry;

use crate::cpu::conv::epilogue::Epilogue;
use crate::cpu::conv::problem::Operation;
use crate::cpu::ctx::Ctx;
use crate::cpu::machine::Machine;
use crate::cpu::maps::{MapDst, MapSrc};
use crate::cpu::memory::{Dst, Src};
use crate::device::Estimate;

/// How convolutions would multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Factors are rounded to bf16.
    Bf16x1,
    /// Factors are f32.
    Bf16x3,
}

/// A convolution that cannot be made.
pub struct AmxConvolution(Infallible);

impl AmxConvolution {
    /// Never.
    pub(super) fn offer(_: ConvGeometry, _: Operation, _: Split, _: Machine) -> Option<(Self, Estimate)> {
        None
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self.0 {}
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        match self.0 {}
    }

    /// Floats of scratch memory.
    pub fn scratch_len(&self, _: usize) -> usize {
        match self.0 {}
    }

    /// Packs HWIO weights.
    pub fn pack(&self, _: &Ctx<'_>, _: Src<'_, f32>, _: Dst<'_, f32>) {
        match self.0 {}
    }

    /// Computes the result.
    pub fn run(
        &self,
        _: &Ctx<'_>,
        _: MapSrc<'_>,
        _: Src<'_, f32>,
        _: &Epilogue<'_>,
        _: Dst<'_, f32>,
        _: MapDst<'_>,
    ) {
        match self.0 {}
    }
}

/// A filter gradient that cannot be made.
pub struct AmxFilter(Infallible);

impl AmxFilter {
    /// Never.
    pub fn offer(_: ConvGeometry, _: Split, _: Machine) -> Option<(Self, Estimate)> {
        None
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self.0 {}
    }

    /// Floats of scratch memory.
    pub fn scratch_len(&self, _: usize) -> usize {
        match self.0 {}
    }

    /// Computes `dw`.
    pub fn run(&self, _: &Ctx<'_>, _: MapSrc<'_>, _: MapSrc<'_>, _: Dst<'_, f32>, _: Dst<'_, f32>) {
        match self.0 {}
    }
}

/// Operations of a block.
pub const TILES_OPERATIONS: usize = 0;

/// Is not called where there is no AMX.
pub fn multiply_tiles(_: usize) {
    unreachable!("no tiles without AMX")
}
