//! Direct convolution on NHWC feature maps and HWIO weights, forward and both gradients; linear layers are convolutions of
//! 1x1 images.
//!
//! All three share their parts: `window` says where the inputs of an output pixel lie, as row pointers into the feature
//! map itself or at a row of zeros; `tile` holds the innermost loops, a tile of sums in registers, how weights are ordered for
//! them, and what becomes of the sums. `direct` runs the forward convolution and, as one forward convolution over `dy` per phase
//! of the stride, the gradient of the input; and the gradient of the weights. `winograd` computes all three of 3x3 kernels with
//! fewer multiplications, `amx` on the processor's AMX unit. `bf16` rounds factors for algorithms that multiply `f32`.
//!
//! Each of these is an entry of the list in `registry`, which decides which of them a layer takes; `kernel` says what an entry
//! has to be.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "amx/absent.rs"]
mod amx;
mod bf16;
mod direct;
mod epilogue;
mod kernel;
#[cfg(test)]
mod naive;
mod problem;
mod registry;
#[cfg(test)]
mod tests;
mod tile;
mod window;
mod winograd;

pub use amx::{TILES_OPERATIONS, multiply_tiles};
pub use epilogue::Epilogue;
pub use kernel::{ConvKernel, FilterKernel};
pub use problem::{Operation, Problem};
pub use registry::{convolution, filter_gradient, plausible};
