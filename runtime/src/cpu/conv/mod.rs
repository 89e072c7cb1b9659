//! Direct convolution on NHWC feature maps and HWIO weights, forward and both gradients; linear layers are convolutions of
//! 1x1 images.
//!
//! All three share their parts: `window` says where the inputs of an output pixel lie, as row pointers into the feature
//! map itself or at a row of zeros; `pack` orders weights as they are read; `tile` holds the innermost loops, a tile
//! of sums in registers, and `finish` what becomes of them. `sweep` runs the forward convolution and, as one forward convolution
//! over `dy` per phase of the stride, the gradient of the input; `filter` the gradient of the weights. `winograd` computes all three of 3x3
//! kernels with fewer multiplications, `matrix` on the processor's matrix unit. In bf16, `pairs` has an instruction for it, and
//! `rounded` does without; `algorithm` decides which of the ways a layer takes.

mod algorithm;
mod filter;
mod filter_pack;
mod filter_tile;
mod finish;
#[cfg(target_arch = "x86_64")]
mod matrix;
#[cfg(not(target_arch = "x86_64"))]
#[path = "matrix/absent.rs"]
mod matrix;
#[cfg(test)]
mod naive;
mod pack;
mod pairs;
mod rounded;
mod sweep;
#[cfg(test)]
mod tests;
mod tile;
mod window;
mod winograd;

use resnetc_compiler::plan::ConvGeometry;

pub use algorithm::{Algorithm, FilterAlgorithm};
#[cfg(test)]
use filter::FilterGradient;
pub use matrix::{TILES_OPERATIONS, available as matrix_unit_available, multiply_tiles};
pub use sweep::{Convolution, Finishing};
pub use winograd::{Size, Winograd, WinogradFilter};

/// Bytes of feature maps that are worked on at a time: they stay in an L2 cache beside a panel of weights.
const BLOCK_BYTES: usize = 256 << 10;

/// The same for the filter gradient, which reads and writes all of a thread's sums once per block: the larger the better.
const FILTER_BLOCK_BYTES: usize = 768 << 10;

/// Blocks that each thread has at least, where there are pixels enough: so that those of a slow one can be handed out.
const BLOCKS: usize = 4;

/// A row of taps becomes one run of the input while it has at most this many floats: then pointers are worth saving, and
/// copying the runs that cross the image's border costs little.
const MERGE_FLOATS: usize = 64;

/// Which convolution a [`Convolution`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// `x, weight -> y`
    Forward,
    /// `dy, weight -> dx`
    BackwardData,
}

impl Operation {
    /// Elements of the map that is read, and of the one that is written.
    fn maps(self, g: &ConvGeometry) -> [usize; 2] {
        let (x, y) = (g.n * g.h * g.w * g.cin, g.n * g.out[0] * g.out[1] * g.cout);
        match self {
            Operation::Forward => [x, y],
            Operation::BackwardData => [y, x],
        }
    }
}
