//! What each operator means to the compiler: the types of its results, its gradient, its cost.
//!
//! One file per kind of operator; this one dispatches. Nothing here knows a pass, a plan or a text.

mod activation;
mod blur;
mod channel_conv;
mod concat;
mod conv;
mod elementwise;
mod linear;
mod loss;
mod norm;
mod param;
mod pool;
mod random;
mod shortcut;
mod update;
mod vjp;

#[cfg(test)]
mod tests;

pub use elementwise::gate_of;
pub use shortcut::ShortcutChange;
pub use vjp::{Gradients, Vjp, VjpError, vjp};

use crate::ir::graph::Mode;
use crate::ir::op::{Epilogue, Op, Role};
use crate::ir::types::{DType, Layout, Shape, TensorType};

/// Why an operator cannot take its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferError {
    /// One line, lower case, no full stop.
    pub message: String,
    /// Which operand is at fault, where one is.
    pub operand: Option<usize>,
    /// The way out.
    pub help: Option<String>,
}

impl InferError {
    fn new(message: impl Into<String>) -> Self {
        InferError { message: message.into(), operand: None, help: None }
    }

    fn at(mut self, operand: usize) -> Self {
        self.operand = Some(operand);
        self
    }

    fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

type Infer = Result<Vec<TensorType>, InferError>;

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

/// How many operands an operator takes.
pub fn operand_count(op: &Op) -> usize {
    match op {
        Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } => 0,
        Op::Conv { bias, epilogue, .. } => 2 + usize::from(*bias) + usize::from(epilogue.residual),
        Op::BatchNorm { epilogue, .. } => 5 + usize::from(epilogue.residual),
        Op::Affine { epilogue } | Op::GroupNorm { epilogue, .. } => 3 + usize::from(epilogue.residual),
        Op::Mul { epilogue } => 2 + usize::from(epilogue.residual),
        Op::MulBackward { epilogue } => 3 + usize::from(epilogue.act.is_some()),
        Op::Concat { operands } => *operands,
        Op::Linear { bias } => 2 + usize::from(*bias),
        Op::ConvBackwardData { residual, .. } => 2 + usize::from(*residual),
        Op::BatchNormBackward { epilogue } | Op::GroupNormBackward { epilogue, .. } => {
            5 + usize::from(epilogue.act.is_some())
        }
        Op::Activate { .. }
        | Op::ScaleShift { .. }
        | Op::Drop { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::GlobalAvgPool
        | Op::PadShortcut { .. }
        | Op::Softmax
        | Op::GlobalMaxPool
        | Op::BlurPool { .. }
        | Op::ChannelSum
        | Op::ChannelSlice { .. }
        | Op::BlurPoolBackward { .. }
        | Op::AvgPoolBackward { .. }
        | Op::GlobalAvgPoolBackward { .. }
        | Op::PadShortcutBackward { .. } => 1,
        Op::Add { .. }
        | Op::Shortcut { .. }
        | Op::CrossEntropy { .. }
        | Op::ConvBackwardFilter { .. }
        | Op::ActivateBackward { .. }
        | Op::MaxPoolBackward { .. }
        | Op::GlobalMaxPoolBackward { .. }
        | Op::ChannelConv
        | Op::ChannelConvBackwardData
        | Op::ChannelConvBackwardFilter { .. }
        | Op::LinearBackwardData { .. }
        | Op::LinearBackwardFilter
        | Op::CrossEntropyBackward { .. }
        | Op::SgdUpdate { .. } => 2,
    }
}

/// Types of an operator's results, in [`Layout::Plain`]; the operands' layouts do not matter. Sizes are computed with
/// checked arithmetic; what a [`TensorType`] counts always fits `isize`.
pub fn infer(op: &Op, mode: Mode, operands: &[&TensorType]) -> Infer {
    let wanted = operand_count(op);
    if operands.len() != wanted {
        return Err(InferError::new(format!("takes {wanted} operands, has {}", operands.len())));
    }
    let types = match op {
        Op::Input { shape } => param::infer_input(shape),
        Op::Labels { batch } => param::infer_labels(*batch),
        Op::Param { shape, .. } => param::infer_param(shape),
        Op::Conv { attrs, bias, epilogue } => conv::infer(attrs, *bias, epilogue, operands),
        Op::BatchNorm { epilogue, .. } => norm::infer(mode, epilogue, operands),
        Op::GroupNorm { groups, epilogue, .. } => norm::infer_group(*groups, epilogue, operands),
        Op::Affine { epilogue } => norm::infer_affine(epilogue, operands),
        Op::Activate { act } => activation::infer(act, operands),
        Op::Add { .. } => elementwise::infer_add(operands),
        Op::Mul { epilogue } => elementwise::infer_mul(epilogue, operands),
        Op::ScaleShift { .. } => Ok(vec![like(operands[0], operands[0].shape.clone())]),
        Op::Drop { part, rate, .. } => random::infer(*part, *rate, operands),
        Op::MaxPool { attrs } => pool::infer_max(attrs, operands),
        Op::AvgPool { attrs } => pool::infer_avg(attrs, operands),
        Op::GlobalAvgPool => pool::infer_global(operands),
        Op::GlobalMaxPool => pool::infer_global_max(operands),
        Op::BlurPool { stride } => blur::infer(*stride, operands),
        Op::ChannelConv => channel_conv::infer(operands),
        Op::Concat { .. } => concat::infer(operands),
        Op::Linear { bias } => linear::infer(*bias, operands),
        Op::Shortcut { rule, norm, .. } => shortcut::infer(*rule, *norm, operands),
        Op::PadShortcut { stride, channels } => shortcut::infer_pad(*stride, *channels, operands),
        Op::Softmax => loss::infer_softmax(operands),
        Op::CrossEntropy { smoothing } => loss::infer(*smoothing, operands),
        Op::ConvBackwardData { attrs, input, residual } => {
            conv::infer_backward_data(attrs, input, *residual, operands)
        }
        Op::ConvBackwardFilter { attrs, weight } => conv::infer_backward_filter(attrs, weight, operands),
        Op::ChannelSum => conv::infer_channel_sum(operands),
        Op::BatchNormBackward { epilogue } => norm::infer_backward(None, epilogue, operands),
        Op::GroupNormBackward { groups, epilogue } => norm::infer_backward(Some(*groups), epilogue, operands),
        Op::ActivateBackward { .. } => activation::infer_backward(operands),
        Op::MulBackward { epilogue } => elementwise::infer_mul_backward(epilogue, operands),
        Op::MaxPoolBackward { attrs, input } => pool::infer_max_backward(attrs, input, operands),
        Op::AvgPoolBackward { attrs, input } => pool::infer_avg_backward(attrs, input, operands),
        Op::GlobalAvgPoolBackward { input } => pool::infer_global_backward(input, operands),
        Op::GlobalMaxPoolBackward { input } => pool::infer_global_max_backward(input, operands),
        Op::BlurPoolBackward { stride, input } => blur::infer_backward(*stride, input, operands),
        Op::ChannelConvBackwardData => channel_conv::infer(operands),
        Op::ChannelConvBackwardFilter { kernel } => channel_conv::infer_backward_filter(*kernel, operands),
        Op::ChannelSlice { start, channels } => concat::infer_slice(*start, *channels, operands),
        Op::LinearBackwardData { input } => linear::infer_backward_data(input, operands),
        Op::LinearBackwardFilter => linear::infer_backward_filter(operands),
        Op::PadShortcutBackward { stride, input } => shortcut::infer_pad_backward(*stride, input, operands),
        Op::CrossEntropyBackward { .. } => loss::infer_backward(operands),
        Op::SgdUpdate { .. } => update::infer(operands),
    }?;
    match types.iter().find(|ty| ty.bytes().is_none_or(|bytes| isize::try_from(bytes).is_err())) {
        Some(ty) => Err(InferError::new(format!("the result {} is too large to count", ty.shape))),
        None => Ok(types),
    }
}

/// The order in memory that a result of an operator has once layouts are set: weights and their gradients
/// [`Layout::Hwio`], feature maps [`Layout::Nhwc`], the rest [`Layout::Plain`].
pub fn layout(op: &Op, result: &TensorType) -> Layout {
    let weight = match op {
        Op::Param { role, .. } => matches!(role, Role::ConvWeight | Role::LinearWeight),
        Op::ConvBackwardFilter { .. } | Op::ChannelConvBackwardFilter { .. } | Op::LinearBackwardFilter => {
            true
        }
        Op::Input { .. }
        | Op::Labels { .. }
        | Op::Conv { .. }
        | Op::BatchNorm { .. }
        | Op::GroupNorm { .. }
        | Op::Affine { .. }
        | Op::Activate { .. }
        | Op::Add { .. }
        | Op::Mul { .. }
        | Op::ScaleShift { .. }
        | Op::Drop { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::GlobalAvgPool
        | Op::GlobalMaxPool
        | Op::BlurPool { .. }
        | Op::ChannelConv
        | Op::Concat { .. }
        | Op::Linear { .. }
        | Op::Shortcut { .. }
        | Op::PadShortcut { .. }
        | Op::Softmax
        | Op::CrossEntropy { .. }
        | Op::ConvBackwardData { .. }
        | Op::ChannelSum
        | Op::BatchNormBackward { .. }
        | Op::GroupNormBackward { .. }
        | Op::ActivateBackward { .. }
        | Op::MulBackward { .. }
        | Op::MaxPoolBackward { .. }
        | Op::AvgPoolBackward { .. }
        | Op::GlobalAvgPoolBackward { .. }
        | Op::GlobalMaxPoolBackward { .. }
        | Op::BlurPoolBackward { .. }
        | Op::ChannelConvBackwardData
        | Op::ChannelSlice { .. }
        | Op::LinearBackwardData { .. }
        | Op::PadShortcutBackward { .. }
        | Op::CrossEntropyBackward { .. }
        | Op::SgdUpdate { .. } => false,
    };
    match (weight, result.shape.rank()) {
        (true, _) => Layout::Hwio,
        (false, 4) => Layout::Nhwc,
        (false, _) => Layout::Plain,
    }
}

/// What an operator on operands and with results of these types takes.
pub fn cost(op: &Op, operands: &[&TensorType], results: &[TensorType]) -> Cost {
    let bytes = |ty: &TensorType| ty.bytes().unwrap_or(usize::MAX) as u64;
    let mut cost = Cost {
        macs: macs(op, operands, results),
        flops: 0,
        read: operands.iter().map(|ty| bytes(ty)).sum(),
        written: results.iter().map(bytes).sum(),
    };
    cost.flops = 2 * cost.macs + elementwise_flops(op, operands, results);
    if let Op::SgdUpdate { sgd } = op {
        update::add_traffic(&mut cost, sgd, operands);
    }
    if let Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } = op {
        cost.written = 0;
    }
    cost
}

/// Multiply-accumulates: outputs times the taps of one output.
fn macs(op: &Op, operands: &[&TensorType], results: &[TensorType]) -> u64 {
    match op {
        Op::Conv { .. } => conv::macs(operands[1], &results[0]),
        Op::ConvBackwardData { .. } => conv::macs(operands[1], operands[0]),
        Op::ConvBackwardFilter { .. } => conv::macs(&results[0], operands[1]),
        Op::ChannelConv => channel_conv::macs(operands[1], &results[0]),
        Op::ChannelConvBackwardData => channel_conv::macs(operands[1], operands[0]),
        Op::ChannelConvBackwardFilter { .. } => channel_conv::macs(&results[0], operands[1]),
        Op::Linear { .. } => linear::macs(operands[1], &results[0]),
        Op::LinearBackwardData { .. } => linear::macs(operands[1], operands[0]),
        Op::LinearBackwardFilter => linear::macs(&results[0], operands[1]),
        Op::Input { .. }
        | Op::Labels { .. }
        | Op::Param { .. }
        | Op::BatchNorm { .. }
        | Op::GroupNorm { .. }
        | Op::Affine { .. }
        | Op::Activate { .. }
        | Op::Add { .. }
        | Op::Mul { .. }
        | Op::ScaleShift { .. }
        | Op::Drop { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::GlobalAvgPool
        | Op::GlobalMaxPool
        | Op::BlurPool { .. }
        | Op::Concat { .. }
        | Op::Shortcut { .. }
        | Op::PadShortcut { .. }
        | Op::Softmax
        | Op::CrossEntropy { .. }
        | Op::ChannelSum
        | Op::BatchNormBackward { .. }
        | Op::GroupNormBackward { .. }
        | Op::ActivateBackward { .. }
        | Op::MulBackward { .. }
        | Op::MaxPoolBackward { .. }
        | Op::AvgPoolBackward { .. }
        | Op::GlobalAvgPoolBackward { .. }
        | Op::GlobalMaxPoolBackward { .. }
        | Op::BlurPoolBackward { .. }
        | Op::ChannelSlice { .. }
        | Op::PadShortcutBackward { .. }
        | Op::CrossEntropyBackward { .. }
        | Op::SgdUpdate { .. } => 0,
    }
}

/// Operations besides multiply-accumulates, counted per element as the comments say.
fn elementwise_flops(op: &Op, operands: &[&TensorType], results: &[TensorType]) -> u64 {
    let out = || results.first().map_or(0, numel);
    let first = || operands.first().map_or(0, |ty| numel(ty));
    match op {
        Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } => 0,
        // Copies and comparisons without arithmetic on the elements.
        Op::Shortcut { .. } | Op::PadShortcut { .. } | Op::PadShortcutBackward { .. } => 0,
        Op::Concat { .. } | Op::ChannelSlice { .. } => 0,
        Op::Conv { bias, epilogue, .. } => out() * (u64::from(*bias) + epilogue_flops(epilogue)),
        // Mean: 1; variance: 3; normalise, scale, shift: 4.
        Op::BatchNorm { epilogue, .. } | Op::GroupNorm { epilogue, .. } => {
            out() * (8 + epilogue_flops(epilogue))
        }
        Op::Affine { epilogue } => out() * (2 + epilogue_flops(epilogue)),
        Op::Activate { .. } => out(),
        Op::Add { act } => out() * (1 + u64::from(act.is_some())),
        Op::Mul { epilogue } => out() * (1 + epilogue_flops(epilogue)),
        // Two products and the gate's sum, or two products; mask: 1.
        Op::MulBackward { epilogue } => first() * (3 + u64::from(epilogue.act.is_some())),
        Op::ScaleShift { .. } => 2 * out(),
        Op::Drop { .. } => out(),
        Op::MaxPool { attrs } | Op::AvgPool { attrs } => out() * pool::taps(attrs),
        Op::GlobalAvgPool | Op::GlobalMaxPool | Op::ChannelSum => first(),
        Op::BlurPool { .. } => out() * blur::TAPS,
        Op::BlurPoolBackward { .. } => first() * blur::TAPS,
        Op::ChannelConv | Op::ChannelConvBackwardData | Op::ChannelConvBackwardFilter { .. } => 0,
        Op::Linear { bias } => out() * u64::from(*bias),
        // Maximum, subtraction, exponential, sum, division or logarithm.
        Op::Softmax | Op::CrossEntropy { .. } | Op::CrossEntropyBackward { .. } => 5 * first(),
        Op::ConvBackwardData { residual, .. } => out() * u64::from(*residual),
        Op::ConvBackwardFilter { .. } | Op::LinearBackwardData { .. } | Op::LinearBackwardFilter => 0,
        // Reduce: 4; apply: 5; mask: 1.
        Op::BatchNormBackward { epilogue } | Op::GroupNormBackward { epilogue, .. } => {
            out() * (9 + u64::from(epilogue.act.is_some()))
        }
        Op::ActivateBackward { .. } | Op::GlobalAvgPoolBackward { .. } | Op::GlobalMaxPoolBackward { .. } => {
            out()
        }
        Op::MaxPoolBackward { .. } => first(),
        Op::AvgPoolBackward { attrs, .. } => first() * pool::taps(attrs),
        // Decay, velocity, step: a multiplication and an addition each.
        Op::SgdUpdate { .. } => 6 * first(),
    }
}

fn epilogue_flops(epilogue: &Epilogue) -> u64 {
    u64::from(epilogue.residual) + u64::from(epilogue.act.is_some())
}

/// Elements of a type that was inferred, so that they can be counted.
fn numel(ty: &TensorType) -> u64 {
    ty.shape.numel().unwrap_or(usize::MAX) as u64
}

/// `[n, c, h, w]` of an operand that has to be a feature map.
fn feature_map(operands: &[&TensorType], index: usize) -> Result<[usize; 4], InferError> {
    let ty = operands[index];
    match (ty.shape.nchw(), ty.dtype) {
        (Some(sizes), DType::F32 | DType::Bf16) => Ok(sizes),
        (Some(_), DType::U8 | DType::U32) => {
            Err(InferError::new(format!("needs numbers, gets {}", ty.dtype)).at(index))
        }
        (None, _) => {
            Err(InferError::new(format!("needs a feature map [n, c, h, w], gets {}", ty.shape)).at(index))
        }
    }
}

/// That an operand has a certain shape; `what` names it.
fn same_shape(operands: &[&TensorType], index: usize, shape: &Shape, what: &str) -> Result<(), InferError> {
    if operands[index].shape == *shape {
        return Ok(());
    }
    Err(InferError::new(format!("{what} has shape {}, needs {shape}", operands[index].shape)).at(index))
}

/// A result of that shape, of the operand's element type.
fn like(operand: &TensorType, shape: impl Into<Shape>) -> TensorType {
    TensorType { shape: shape.into(), dtype: operand.dtype, layout: Layout::Plain }
}
