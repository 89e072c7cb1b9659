//! What each operator means to the compiler: the types of its results, its gradient, its cost, its kernels, its words.
//!
//! An operator is described in one file, by its [`Operator`]; [`operator()`] hands on to it. Nothing here knows a pass or a spec.

mod activation;
mod add;
mod batch_norm;
mod blur;
mod channel_conv;
mod concat;
mod conv;
mod drop;
mod flatten;
mod global_pool;
pub mod gradient;
mod group_norm;
mod linear;
mod loss;
pub mod lowering;
mod mul;
mod norm;
pub mod operator;
mod pad_channels;
mod pool;
mod scale_shift;
mod shortcut;
mod sources;
mod target_loss;
mod update;
mod window;
mod words;

#[cfg(test)]
mod tests;

pub use gradient::{Gradients, Vjp, VjpError};
pub use mul::gate_of;
pub use operator::{Class, Infer, InferError, Operator};
pub use shortcut::ShortcutChange;

use std::fmt;

use crate::backend::Layouts;
use crate::ir::graph::Mode;
use crate::ir::op::Op;
use crate::ir::types::{Layout, TensorType};

/// What an operator says of itself: the only place that names them all.
pub fn operator(op: &Op) -> &dyn Operator {
    match op {
        Op::Input(op) => op,
        Op::Labels(op) => op,
        Op::Partners(op) => op,
        Op::Teacher(op) => op,
        Op::Param(op) => op,
        Op::Conv(op) => op,
        Op::BatchNorm(op) => op,
        Op::GroupNorm(op) => op,
        Op::Affine(op) => op,
        Op::Activate(op) => op,
        Op::Add(op) => op,
        Op::Mul(op) => op,
        Op::ScaleShift(op) => op,
        Op::Drop(op) => op,
        Op::MaxPool(op) => op,
        Op::AvgPool(op) => op,
        Op::GlobalAvgPool(op) => op,
        Op::GlobalMaxPool(op) => op,
        Op::BlurPool(op) => op,
        Op::ChannelConv(op) => op,
        Op::Concat(op) => op,
        Op::Linear(op) => op,
        Op::Shortcut(op) => op,
        Op::PadShortcut(op) => op,
        Op::PadChannels(op) => op,
        Op::Flatten(op) => op,
        Op::Softmax(op) => op,
        Op::CrossEntropy(op) => op,
        Op::TargetLoss(op) => op,
        Op::ConvBackwardData(op) => op,
        Op::ConvBackwardFilter(op) => op,
        Op::ChannelSum(op) => op,
        Op::BatchNormAgain(op) => op,
        Op::BatchNormBackward(op) => op,
        Op::GroupNormBackward(op) => op,
        Op::ActivateBackward(op) => op,
        Op::MulBackward(op) => op,
        Op::MaxPoolBackward(op) => op,
        Op::AvgPoolBackward(op) => op,
        Op::GlobalAvgPoolBackward(op) => op,
        Op::GlobalMaxPoolBackward(op) => op,
        Op::BlurPoolBackward(op) => op,
        Op::ChannelConvBackwardData(op) => op,
        Op::ChannelConvBackwardFilter(op) => op,
        Op::ChannelSlice(op) => op,
        Op::LinearBackwardData(op) => op,
        Op::LinearBackwardFilter(op) => op,
        Op::PadShortcutBackward(op) => op,
        Op::FlattenBackward(op) => op,
        Op::CrossEntropyBackward(op) => op,
        Op::TargetLossBackward(op) => op,
        Op::Update(op) => op,
    }
}

/// See [`Operator::text`].
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&operator(self).text())
    }
}

/// What running an operator once takes, for the whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiply-accumulates of convolutions and linear layers (and of their gradients); nothing else counts any.
    pub macs: u64,
    /// Floating-point operations: two per multiply-accumulate, and about one per element and elementwise operation.
    pub flops: u64,
    /// Bytes of all operands.
    pub read: u64,
    /// Bytes of all results.
    pub written: u64,
}

/// Types of an operator's results, in [`Layout::Plain`]; the operands' layouts do not matter. Sizes are computed with
/// checked arithmetic; what a [`TensorType`] counts always fits `isize`.
///
/// # Errors
/// Where the operands do not fit the operator.
pub fn infer(op: &Op, mode: Mode, operands: &[&TensorType]) -> Infer {
    let operator = operator(op);
    let wanted = operator.arity();
    if operands.len() != wanted {
        return Err(InferError::new(format!("takes {wanted} operands, has {}", operands.len())));
    }
    let types = operator.infer(mode, operands)?;
    match types.iter().find(|ty| ty.bytes().is_none_or(|bytes| isize::try_from(bytes).is_err())) {
        Some(ty) => Err(InferError::new(format!("the result {} is too large to count", ty.shape))),
        None => Ok(types),
    }
}

/// Adds the nodes that compute a node's gradients.
///
/// # Errors
/// Where its operator has none.
pub fn vjp(mut v: Vjp<'_>) -> Gradients {
    let op = v.op().clone();
    operator(&op).vjp(&mut v)
}

/// The order in memory that a result of an operator has once layouts are set: that of weights for these and their gradients,
/// that of maps for feature maps, [`Layout::Plain`] for the rest.
pub fn layout(op: &Op, result: &TensorType, layouts: &Layouts) -> Layout {
    match (operator(op).makes_weight(), result.shape.rank()) {
        (true, _) => layouts.weights,
        (false, 4) => layouts.maps,
        (false, _) => Layout::Plain,
    }
}

/// Gives inferred types the layouts they have from `LaidOut` on.
pub fn set_layouts(op: &Op, types: &mut [TensorType], layouts: &Layouts) {
    for ty in types {
        debug_assert_eq!(ty.layout, Layout::Plain, "inferred types are plain");
        ty.layout = layout(op, ty, layouts);
    }
}

/// What an operator on operands and with results of these types takes.
pub fn cost(op: &Op, operands: &[&TensorType], results: &[TensorType]) -> Cost {
    let bytes = |ty: &TensorType| ty.bytes().unwrap_or(usize::MAX) as u64;
    let operator = operator(op);
    let macs = operator.macs(operands, results);
    let (read, written) = operator.hidden_traffic(operands);
    // What a source names lies there already.
    let results_written = if op.is_source() { 0 } else { results.iter().map(bytes).sum() };
    Cost {
        macs,
        flops: 2 * macs + operator.elementwise(operands, results),
        read: operands.iter().map(|ty| bytes(ty)).sum::<u64>() + read,
        written: results_written + written,
    }
}
