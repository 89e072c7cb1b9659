//! What is asked of an algorithm.

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::ConvGeometry;

use crate::machine::Machine;

/// A layer, and what computes it.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    /// Sizes, and the precision of the factors.
    pub geometry: ConvGeometry,
    /// What it is estimated for.
    pub machine: Machine,
}

impl Problem {
    /// Whether factors are multiplied as bf16.
    pub fn is_bf16(&self) -> bool {
        self.geometry.precision == DType::Bf16
    }

    /// Cycles of each thread for the layer's multiply-adds, `rate` of vectors in a cycle.
    pub fn multiply_adds(&self, rate: f64) -> f64 {
        let Machine { isa, threads, .. } = self.machine;
        self.geometry.macs() as f64 / isa.lanes() as f64 / rate / threads as f64
    }
}

/// Which convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `x, weight -> y`
    Forward,
    /// `dy, weight -> dx`
    BackwardData,
}

impl Operation {
    /// Elements of the map that is read, and of the one that is written.
    pub fn maps(self, g: &ConvGeometry) -> [usize; 2] {
        let (x, y) = (g.n * g.h * g.w * g.cin, g.n * g.out[0] * g.out[1] * g.cout);
        match self {
            Operation::Forward => [x, y],
            Operation::BackwardData => [y, x],
        }
    }
}
