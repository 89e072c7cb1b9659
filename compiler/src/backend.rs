//! What a backend can do, as data. A device hands its description out, passes and planner ask it; nothing in the compiler
//! knows a backend by name.

use serde::{Deserialize, Serialize};

use crate::ir::types::{DType, Layout};

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
    /// The narrow types that it multiplies in. Where the network multiplies in one, maps are stored so, as the operand tables
    /// say.
    pub narrow: &'static [DType],
    /// Whether what multiplies in `f32` may round its factors to TF32, where the spec allows it.
    pub tf32: bool,
    /// Whether all its kernels give the same bits each time; else a plan says whether they have to.
    pub deterministic: bool,
    /// Whether the gradient of a batch normalisation's input may lie on a map that it is computed from. cuDNN promises no such thing of
    /// its own.
    pub norm_gradients_in_place: bool,
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
        narrow: &[DType::Bf16],
        tf32: false,
        deterministic: true,
        norm_gradients_in_place: true,
    };

    /// Plain tensor operations, one per operator: nothing is fused, so that what fusion changes can be seen beside it.
    pub const REFERENCE: Backend = Backend {
        name: "reference",
        align: CACHE_LINE,
        layouts: CHANNELS_INNERMOST,
        fusions: Fusions::NONE,
        slices: false,
        narrow: &DType::NARROW,
        tf32: false,
        deterministic: true,
        norm_gradients_in_place: true,
    };

    /// NVIDIA GPUs: cuDNN's weights have their input channels innermost, and buffers begin where a warp's widest loads may.
    pub const CUDA: Backend = Backend {
        name: "cuda",
        align: 256,
        layouts: Layouts { maps: Layout::Nhwc, weights: Layout::Ohwi },
        fusions: Fusions::ALL,
        slices: true,
        narrow: &DType::NARROW,
        tf32: true,
        deterministic: false,
        norm_gradients_in_place: false,
    };

    /// All.
    pub const ALL: [Backend; 3] = [Backend::CPU, Backend::REFERENCE, Backend::CUDA];

    /// Whether it multiplies in a type.
    pub fn multiplies_in(&self, precision: DType) -> bool {
        precision == DType::F32 || self.narrow.contains(&precision)
    }

    /// One that multiplies in a type, for those who want to know of a network what no device changes.
    ///
    /// # Panics
    /// Where there is none: no spec can ask for such a type.
    pub fn that_multiplies_in(precision: DType) -> Backend {
        let found = Backend::ALL.into_iter().find(|backend| backend.multiplies_in(precision));
        found.unwrap_or_else(|| panic!("no backend multiplies in {precision}"))
    }
}

impl Default for Backend {
    fn default() -> Self {
        Backend::CPU
    }
}
