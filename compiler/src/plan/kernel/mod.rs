//! The kernels: what a step of a plan computes, with all sizes.
//!
//! A kernel is described in one place, its [`KernelInfo`]: its name, its operands, its sizes in words, its operations.
//! [`Kernel`] is the closed list of them and hands on. A feature map of any size counts as a matrix `[rows, channels]`
//! where only that matters, rows being pixels of all images; linear layers are convolutions of 1x1 images.

mod accumulate;
mod average;
mod batch_norm;
mod channels;
mod clip;
mod conv;
pub mod geometry;
mod global_pool;
mod group_norm;
mod info;
mod loss;
mod loss_scale;
mod multiply;
pub mod operand;
mod pointwise;
mod pooling;
mod ranks;
mod target_loss;
mod text;
mod update;

pub use accumulate::AccumulateGradients;
pub use average::Average;
pub use batch_norm::{Affine, BnApply, BnBackwardApply, BnBackwardReduce, BnStats, RunningRstd};
pub use channels::{ChannelSlice, Concat, PadShortcut, PadShortcutBackward};
pub use clip::ClipGradients;
pub use conv::{ChannelSum, Conv, ConvBackwardData, ConvBackwardFilter};
pub use global_pool::{GlobalAvgPool, GlobalAvgPoolBackward, GlobalMaxPool, GlobalMaxPoolBackward};
pub use group_norm::{GroupApply, GroupBackwardApply, GroupBackwardReduce, GroupStats};
pub use info::KernelInfo;
pub use loss::{CrossEntropy, CrossEntropyBackward, Softmax};
pub use loss_scale::{AllFinite, LossScaleUpdate};
pub use multiply::{Mul, MulBackward};
pub use pointwise::{Activate, ActivateBackward, Add, Drop, ScaleShift};
pub use pooling::{AvgPool, AvgPoolBackward, BlurPool, BlurPoolBackward, MaxPool, MaxPoolBackward};
pub use ranks::{AllGather, AllGatherWait, AllReduce, AllReduceWait, BnCombine, BnCombineSums, BnMoments};
pub use target_loss::{TargetLoss, TargetLossBackward};
pub use update::Update;

use serde::{Deserialize, Serialize};

use geometry::ConvGeometry;
use operand::Operands;

use crate::ir::types::DType;

/// Writes the enum and all that has to name every kernel.
macro_rules! kernels {
    ($($name:ident),* $(,)?) => {
        /// What a step computes, with all sizes. See the file of each.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kernel {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($name),
            )*
        }

        impl Kernel {
            fn info(&self) -> &dyn KernelInfo {
                match self {
                    $(Kernel::$name(kernel) => kernel,)*
                }
            }
        }

        $(impl From<$name> for Kernel {
            fn from(kernel: $name) -> Self {
                Kernel::$name(kernel)
            }
        })*
    };
}

kernels! {
    Conv,
    ConvBackwardData,
    ConvBackwardFilter,
    ChannelSum,
    BnStats,
    BnMoments,
    BnCombine,
    BnCombineSums,
    RunningRstd,
    BnApply,
    BnBackwardReduce,
    BnBackwardApply,
    GroupStats,
    GroupApply,
    GroupBackwardReduce,
    GroupBackwardApply,
    Affine,
    Activate,
    ActivateBackward,
    Add,
    Mul,
    MulBackward,
    ScaleShift,
    Drop,
    MaxPool,
    MaxPoolBackward,
    AvgPool,
    AvgPoolBackward,
    GlobalAvgPool,
    GlobalAvgPoolBackward,
    GlobalMaxPool,
    GlobalMaxPoolBackward,
    BlurPool,
    BlurPoolBackward,
    Concat,
    ChannelSlice,
    PadShortcut,
    PadShortcutBackward,
    Softmax,
    CrossEntropy,
    CrossEntropyBackward,
    TargetLoss,
    TargetLossBackward,
    AccumulateGradients,
    AllReduce,
    AllReduceWait,
    AllGather,
    AllGatherWait,
    AllFinite,
    ClipGradients,
    Update,
    Average,
    LossScaleUpdate,
}

impl Kernel {
    /// See [`KernelInfo::name`].
    pub fn name(&self) -> &'static str {
        self.info().name()
    }

    /// See [`KernelInfo::operands`].
    pub fn operands(&self) -> Option<Operands> {
        self.info().operands()
    }

    /// See [`KernelInfo::geometry`].
    pub fn geometry(&self) -> String {
        self.info().geometry()
    }

    /// See [`KernelInfo::flops`].
    pub fn flops(&self) -> u64 {
        self.info().flops()
    }

    /// Whether it belongs to the optimizer, or to what stands before it: it takes the gradients of many parameters at once.
    pub fn is_of_optimizer(&self) -> bool {
        matches!(
            self,
            Kernel::AccumulateGradients(_)
                | Kernel::AllReduce(_)
                | Kernel::AllReduceWait(_)
                | Kernel::AllGather(_)
                | Kernel::AllGatherWait(_)
                | Kernel::AllFinite(_)
                | Kernel::ClipGradients(_)
                | Kernel::Update(_)
                | Kernel::Average(_)
                | Kernel::LossScaleUpdate(_)
        )
    }

    /// The narrow types that its maps may be stored in, where the operand table names such maps: that of its factors where it
    /// multiplies, else any.
    pub fn narrow_types(&self) -> &'static [DType] {
        match self.conv_geometry().map(|geometry| geometry.precision) {
            Some(precision) => {
                DType::NARROW.iter().find(|&&ty| ty == precision).map_or(&[], std::slice::from_ref)
            }
            None => &DType::NARROW,
        }
    }

    /// Sizes of a convolution or linear layer, forward or backward.
    pub fn conv_geometry(&self) -> Option<&ConvGeometry> {
        if let Kernel::Conv(Conv { geometry, .. })
        | Kernel::ConvBackwardData(ConvBackwardData { geometry, .. })
        | Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry }) = self
        {
            return Some(geometry);
        }
        None
    }
}
