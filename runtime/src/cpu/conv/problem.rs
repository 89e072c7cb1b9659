//! What is asked of an algorithm.

use resnetc_compiler::plan::ConvGeometry;

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
