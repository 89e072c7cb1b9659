//! Sizes of kernels: all that a loop over their operands needs to know.

use serde::{Deserialize, Serialize};

use crate::ir::objective::{Distillation, Objective};
use crate::ir::op::{ConvAttrs, PoolAttrs};
use crate::ir::types::DType;

/// A convolution with all sizes known. Feature maps are NHWC, weights HWIO; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvGeometry {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Output rows and columns.
    pub out: [usize; 2],
    /// The window.
    #[serde(flatten)]
    pub attrs: ConvAttrs,
    /// What factors are rounded to before they are multiplied; sums are `f32`.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    pub precision: DType,
}

fn single() -> DType {
    DType::F32
}

fn is_single(precision: &DType) -> bool {
    *precision == DType::F32
}

impl ConvGeometry {
    /// Multiply-accumulates of the forward convolution (and of either gradient).
    pub fn macs(&self) -> u64 {
        let taps = (self.attrs.kernel[0] * self.attrs.kernel[1]) as u64;
        let pixels = (self.n * self.out[0] * self.out[1]) as u64;
        pixels * taps * self.cout as u64 * (self.cin / self.attrs.groups) as u64
    }
}

/// A pooling with all sizes known, NHWC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolGeometry {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Output rows and columns.
    pub out: [usize; 2],
    /// The window.
    #[serde(flatten)]
    pub attrs: PoolAttrs,
}

/// Sizes of a group normalisation, `[images, pixels, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupGeometry {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Groups of channels that lie side by side; they divide the channels.
    pub groups: usize,
}

/// Sizes of a blur with the taps 1/4, 1/2, 1/4 in both directions, NHWC. A tap beyond the border falls on the pixel as far
/// inside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlurGeometry {
    /// Images.
    pub n: usize,
    /// Input rows, two or more.
    pub h: usize,
    /// Input columns, two or more.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Step between the pixels taken.
    pub stride: [usize; 2],
    /// Output rows and columns: sizes over stride, rounded up.
    pub out: [usize; 2],
}

/// Sizes of a feature map, NHWC; a matrix `[n, c]` has one pixel per image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DropGeometry {
    /// Images.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

/// Sizes of option A's shortcut, NHWC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PadGeometry {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Zero channels before the input's: `(cout - cin) / 2`.
    pub before: usize,
    /// Step between the pixels taken.
    pub stride: [usize; 2],
    /// Output rows and columns: sizes over stride, rounded up.
    pub out: [usize; 2],
}

/// Sizes of a loss, and which one it is. Targets are those of [`TargetLoss`](crate::ir::op::TargetLoss).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossGeometry {
    /// Images.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// What is minimised.
    pub objective: Objective,
    /// Label smoothing.
    pub smoothing: f32,
    /// Whether each class has a factor.
    pub weighted: bool,
    /// Whether each image is a mixture of two.
    pub mixed: bool,
    /// What is learned from a teacher's logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
}

impl LossGeometry {
    /// What the sum over images and classes is divided by, as PyTorch's `mean`: the images; with a loss that averages classes, the
    /// images times the classes. `None` for the sum of the labels' weights: that of a weighted cross-entropy of labels.
    pub fn divisor(&self) -> Option<f64> {
        match self.objective {
            Objective::CrossEntropy | Objective::SoftmaxFocal { .. } if self.weighted && !self.mixed => None,
            Objective::BinaryCrossEntropy { sum_classes: false, .. }
            | Objective::Focal { sum_classes: false, .. } => Some((self.rows * self.classes) as f64),
            Objective::CrossEntropy
            | Objective::SoftmaxFocal { .. }
            | Objective::BinaryCrossEntropy { .. }
            | Objective::Focal { .. } => Some(self.rows as f64),
        }
    }
}
