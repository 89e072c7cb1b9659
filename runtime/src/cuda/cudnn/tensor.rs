//! What tensors of works are: their elements, how they lie in memory, and what each is to a work.

use resnetc_compiler::ir::types::DType;
use serde::{Deserialize, Serialize};

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// IEEE single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl Element {
    /// All.
    pub const ALL: [Element; 3] = [Element::F32, Element::Bf16, Element::F16];

    /// `bf16`
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::Bf16 => "bf16",
            Element::F16 => "f16",
        }
    }

    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 | Element::F16 => 2,
        }
    }

    /// Of a plan's tensors of floats; `None` for whole numbers.
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Element::F32),
            DType::Bf16 => Some(Element::Bf16),
            DType::F16 => Some(Element::F16),
            DType::U8 | DType::U32 | DType::U64 => None,
        }
    }
}

/// How a feature map lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Elements from a pixel to the next: the map's channels, or those of the wider map that it is a slice of.
    pub pitch: usize,
    /// The map's first element lies at a multiple of that many bytes, at most [`ALIGN`].
    pub align: usize,
}

/// Bytes that whole maps are aligned to, as far as cuDNN is told: its widest loads.
pub const ALIGN: usize = 16;

impl Place {
    /// A map with memory of its own.
    pub fn whole(channels: usize) -> Self {
        Place { pitch: channels, align: ALIGN }
    }

    /// Channels of a map of `pitch` channels, from the channel `start` on.
    pub fn slice(pitch: usize, start: usize, element: Element) -> Self {
        let of = |bytes: usize| if bytes == 0 { ALIGN } else { ALIGN.min(1 << bytes.trailing_zeros()) };
        Place { pitch, align: of(start * element.size()).min(of(pitch * element.size())) }
    }
}

/// What a tensor of a pattern is. Its number is the tensor's id in cuDNN's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Input map of the forward convolution.
    X = 1,
    /// Its weight.
    Weight,
    /// Its output map.
    Y,
    /// Added by channel.
    Bias,
    /// Added element by element.
    Residual,
    /// Factors of a normalisation, by channel, of the type [`Work::affine`](super::Work::affine).
    Scale,
    /// Summands of a normalisation, likewise.
    Shift,
    /// Gradient of the output map.
    Dy,
    /// Gradient of the input map.
    Dx,
    /// Gradient of the weight.
    Dweight,
    /// A ReLU's input or result.
    Mask,
    /// Input of the normalisation before the convolution.
    Normed,
    /// A sum by channel, of `f32`: of `y`, or of `dx`.
    Sum,
    /// Another: of the squares of `y`, or of `dx * normed`.
    SumProducts,
    /// A normalisation's mean by channel, of `f32`.
    Mean,
    /// `1 / sqrt(variance + epsilon)`, likewise.
    Rstd,
    /// The mean over batches, as it was.
    RunningMean,
    /// The variance over batches, as it was.
    RunningVar,
    /// The mean over batches with this one.
    NextRunningMean,
    /// The variance over batches with this one.
    NextRunningVar,
    /// Gradient of a normalisation's factors.
    Dscale,
    /// Gradient of its summands.
    Dshift,
    /// A number of `f32`, which lies in the host's memory: what is added to a variance.
    Epsilon,
    /// Another: the weight of the batch in the running statistics.
    Momentum,
}

impl Role {
    /// All.
    pub const ALL: [Role; 24] = [
        Role::X,
        Role::Weight,
        Role::Y,
        Role::Bias,
        Role::Residual,
        Role::Scale,
        Role::Shift,
        Role::Dy,
        Role::Dx,
        Role::Dweight,
        Role::Mask,
        Role::Normed,
        Role::Sum,
        Role::SumProducts,
        Role::Mean,
        Role::Rstd,
        Role::RunningMean,
        Role::RunningVar,
        Role::NextRunningMean,
        Role::NextRunningVar,
        Role::Dscale,
        Role::Dshift,
        Role::Epsilon,
        Role::Momentum,
    ];

    /// Whether it is one number, handed over by value.
    pub fn is_number(self) -> bool {
        matches!(self, Role::Epsilon | Role::Momentum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_aligned_as_its_first_channel_of_every_pixel_is() {
        let align = |pitch, start, element| Place::slice(pitch, start, element).align;
        assert_eq!(align(64, 0, Element::Bf16), 16);
        assert_eq!(align(64, 8, Element::Bf16), 16);
        assert_eq!(align(36, 12, Element::Bf16), 8);
        assert_eq!(align(36, 12, Element::F32), 16);
        assert_eq!(align(35, 0, Element::F32), 4);
        assert_eq!(align(64, 3, Element::Bf16), 2);
    }
}
