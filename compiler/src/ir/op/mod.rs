//! The operators: one closed enum, attributes only. Operands are edges of the graph, in the order documented here.
//!
//! No `_ =>` arm anywhere matches an [`Op`]. What an operator means stands in its file in `ops/`; the enum hands on to it in
//! one place, [`crate::ops::operator()`].

mod backward;
mod forward;
mod norm;

pub use super::activation::{Activation, GradFrom};
pub use super::attrs::{ConvAttrs, DropPart, Epilogue, PoolAttrs, ShortcutRule};
pub use super::init::{ConvInit, Fan, Init};
pub use super::objective::{Distillation, LossAttrs, Objective};
pub use super::persistent::{BnTensors, Recipe, Role};
pub use super::update::{AdamWAttrs, LambAttrs, LarsAttrs, LionAttrs, MuonAttrs, SgdAttrs, UpdateRule};
pub use backward::{
    ActivateBackward, AvgPoolBackward, BatchNormAgain, BatchNormBackward, BlurPoolBackward,
    ChannelConvBackwardData, ChannelConvBackwardFilter, ChannelSlice, ChannelSum, ConvBackwardData,
    ConvBackwardFilter, CrossEntropyBackward, FlattenBackward, GlobalAvgPoolBackward, GlobalMaxPoolBackward,
    GroupNormBackward, LinearBackwardData, LinearBackwardFilter, MaxPoolBackward, MulBackward,
    PadShortcutBackward, TargetLossBackward, Update,
};
pub use forward::{
    Activate, Add, Affine, AvgPool, BatchNorm, BlurPool, ChannelConv, Concat, Conv, CrossEntropy, Drop,
    Flatten, GlobalAvgPool, GlobalMaxPool, GroupNorm, Input, Labels, Linear, MaxPool, Mul, PadChannels,
    PadShortcut, Param, Partners, ScaleShift, Shortcut, Softmax, TargetLoss, Teacher,
};
pub use norm::Norm;

use serde::{Deserialize, Serialize};

/// Writes the enum, and the way into it from each operator.
macro_rules! operators {
    ($($name:ident),* $(,)?) => {
        /// An operator.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Op {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($name),
            )*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Op::$name(op)
            }
        })*
    };
}

operators! {
    Input,
    Labels,
    Partners,
    Teacher,
    Param,
    Conv,
    BatchNorm,
    GroupNorm,
    Affine,
    Activate,
    Add,
    Mul,
    ScaleShift,
    Drop,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    BlurPool,
    ChannelConv,
    Concat,
    Linear,
    Shortcut,
    PadShortcut,
    PadChannels,
    Flatten,
    Softmax,
    CrossEntropy,
    TargetLoss,
    ConvBackwardData,
    ConvBackwardFilter,
    ChannelSum,
    BatchNormAgain,
    BatchNormBackward,
    GroupNormBackward,
    ActivateBackward,
    MulBackward,
    MaxPoolBackward,
    AvgPoolBackward,
    GlobalAvgPoolBackward,
    GlobalMaxPoolBackward,
    BlurPoolBackward,
    ChannelConvBackwardData,
    ChannelConvBackwardFilter,
    ChannelSlice,
    LinearBackwardData,
    LinearBackwardFilter,
    PadShortcutBackward,
    FlattenBackward,
    CrossEntropyBackward,
    TargetLossBackward,
    Update,
}

impl Op {
    /// Whether the node only names memory that is filled before the run: it computes nothing.
    pub fn is_source(&self) -> bool {
        matches!(self, Op::Input(_) | Op::Labels(_) | Op::Partners(_) | Op::Teacher(_) | Op::Param(_))
    }
}

impl Norm {
    /// The operator, without an epilogue.
    pub fn op(self) -> Op {
        let epilogue = Epilogue::default();
        match self {
            Norm::Batch { eps, momentum } => BatchNorm { eps, momentum, still: false, epilogue }.into(),
            Norm::Group { groups, eps } => GroupNorm { groups, eps, epilogue }.into(),
        }
    }
}
