//! What a backend can do, as data. A device hands its description out, passes and planner ask it; nothing in the compiler
//! knows a backend by name.

use serde::{Deserialize, Serialize};

use crate::ir::types::Layout;

/// The orders in memory that a backend's kernels take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layouts {
    /// Of feature maps.
    pub maps: Layout,
    /// Of weights of convolutions and linear layers.
    pub weights: Layout,
}

/// What kernels compute besides their own operator, before they store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fusions {
    /// Sum and activation behind a convolution, an affine map or a group normalisation, in inference.
    pub inference_epilogues: bool,
    /// Sum and activation behind a normalisation, in training.
    pub norm_epilogues: bool,
    /// Sum and activation behind a product.
    pub product_epilogues: bool,
    /// An activation behind a sum.
    pub sum_activations: bool,
    /// The sum of two gradients, in the convolution that computes one of them.
    pub accumulated_gradients: bool,
}

impl Fusions {
    const ALL: Fusions = Fusions {
        inference_epilogues: true,
        norm_epilogues: true,
        product_epilogues: true,
        sum_activations: true,
        accumulated_gradients: true,
    };

    const NONE: Fusions = Fusions {
        inference_epilogues: false,
        norm_epilogues: false,
        product_epilogues: false,
        sum_activations: false,
        accumulated_gradients: false,
    };
}

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// `cpu`
    pub name: &'static str,
    /// Every buffer begins at a multiple of that many bytes.
    pub align: usize,
    /// Orders in memory.
    pub layouts: Layouts,
    /// What kernels take in.
    pub fusions: Fusions,
    /// Whether kernels step over the gaps of slices, as their operand tables say; else channels are copied.
    pub slices: bool,
    /// Whether maps are stored as bf16 where the network multiplies in bf16, as the operand tables say.
    pub bf16_maps: bool,
}

/// A cache line, and a 512-bit vector.
pub const CACHE_LINE: usize = 64;

const CHANNELS_INNERMOST: Layouts = Layouts { maps: Layout::Nhwc, weights: Layout::Hwio };

impl Backend {
    /// The vectorised kernels: the inner loops run over channels, which lie side by side.
    pub const CPU: Backend = Backend {
        name: "cpu",
        align: CACHE_LINE,
        layouts: CHANNELS_INNERMOST,
        fusions: Fusions::ALL,
        slices: true,
        bf16_maps: true,
    };

    /// Plain tensor operations, one per operator: nothing is fused, so that what fusion changes can be seen beside it.
    pub const REFERENCE: Backend = Backend {
        name: "reference",
        align: CACHE_LINE,
        layouts: CHANNELS_INNERMOST,
        fusions: Fusions::NONE,
        slices: false,
        bf16_maps: true,
    };

    /// NVIDIA GPUs: cuDNN's weights have their input channels innermost, and buffers begin where a warp's widest loads may.
    pub const CUDA: Backend = Backend {
        name: "cuda",
        align: 256,
        layouts: Layouts { maps: Layout::Nhwc, weights: Layout::Ohwi },
        fusions: Fusions::ALL,
        slices: true,
        bf16_maps: true,
    };

    /// All.
    pub const ALL: [Backend; 3] = [Backend::CPU, Backend::REFERENCE, Backend::CUDA];
}

impl Default for Backend {
    fn default() -> Self {
        Backend::CPU
    }
}
