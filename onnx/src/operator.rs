//! Operator by operator: what each is in ONNX. No `_` arm: an operator that is new here is a compile error.

use resnetc_compiler::ir::graph::{NodeId, Value};
use resnetc_compiler::ir::op::{
    Activate, Add, BatchNorm, Conv, ConvAttrs, Epilogue, GroupNorm, Linear, Op, PadChannels, PadShortcut,
    ScaleShift,
};
use resnetc_compiler::ops;

use crate::activation::activate;
use crate::builder::{Attributes, Builder};
use crate::error::Error;
use crate::layers::{self, pads};
use crate::proto::Attribute::{Float, Int, Ints};

/// Writes a node of the network.
///
/// # Errors
/// Where it belongs to training, or a weight cannot be had.
pub fn write(b: &mut Builder<'_>, id: NodeId) -> Result<(), Error> {
    if let Some(result) = computed(b, id)? {
        b.close(id, result);
    }
    Ok(())
}

/// Writes what a node computes; the name of the result. `None` for ports and tensors, which are written where the model begins, and
/// where they are read.
fn computed(b: &mut Builder<'_>, id: NodeId) -> Result<Option<String>, Error> {
    let graph = b.graph;
    let (node, operands) = (graph.node(id), graph.operands(id));
    let of = &operands[..];
    let x = |b: &Builder<'_>| b.name(of[0]);
    Ok(Some(match &node.op {
        Op::Input(_) | Op::Param(_) => return Ok(None),
        Op::Conv(op) => conv(b, id, op, of)?,
        Op::BatchNorm(op) => batch_norm(b, id, op, of)?,
        Op::GroupNorm(op) => group_norm(b, id, op, of)?,
        Op::Affine(op) => {
            let y = affine(b, id, x(b), of)?;
            finish(b, id, &op.epilogue, of, y)
        }
        Op::Activate(Activate { act }) => activate(b, id, *act, x(b)),
        Op::Add(Add { act }) => {
            let y = b.emit(id, "Add", vec![x(b), b.name(of[1])], Vec::new());
            act.map_or(y.clone(), |act| activate(b, id, act, y))
        }
        Op::Mul(op) => {
            let y = b.emit(id, "Mul", vec![x(b), b.name(of[1])], Vec::new());
            finish(b, id, &op.epilogue, of, y)
        }
        Op::ScaleShift(op) => scale_shift(b, id, op, x(b)),
        // The identity in inference.
        Op::Drop(_) => x(b),
        Op::MaxPool(op) => layers::max_pool(b, id, &op.attrs, of[0]),
        Op::AvgPool(op) => layers::avg_pool(b, id, &op.attrs, of[0]),
        Op::GlobalAvgPool(_) => b.emit(id, "GlobalAveragePool", vec![x(b)], Vec::new()),
        Op::GlobalMaxPool(_) => b.emit(id, "GlobalMaxPool", vec![x(b)], Vec::new()),
        Op::BlurPool(op) => layers::blur(b, id, op.stride, of[0]),
        Op::ChannelConv(_) => layers::channel_conv(b, id, of)?,
        Op::Concat(_) => {
            let inputs = of.iter().map(|&operand| b.name(operand)).collect();
            b.emit(id, "Concat", inputs, vec![("axis", Int(1))])
        }
        Op::Linear(op) => linear(b, id, op, of)?,
        Op::PadShortcut(op) => pad_shortcut(b, id, op, of[0]),
        Op::PadChannels(PadChannels { channels, before }) => {
            layers::pad_channels(b, id, [*before, *channels], of[0], x(b))
        }
        Op::Flatten(_) => flat(b, id, of[0]),
        Op::Softmax(_) => b.emit(id, "Softmax", vec![x(b)], vec![("axis", Int(-1))]),
        Op::Labels(_)
        | Op::Partners(_)
        | Op::Teacher(_)
        | Op::Shortcut(_)
        | Op::CrossEntropy(_)
        | Op::TargetLoss(_)
        | Op::ConvBackwardData(_)
        | Op::ConvBackwardFilter(_)
        | Op::ChannelSum(_)
        | Op::BatchNormAgain(_)
        | Op::BatchNormBackward(_)
        | Op::GroupNormBackward(_)
        | Op::ActivateBackward(_)
        | Op::MulBackward(_)
        | Op::MaxPoolBackward(_)
        | Op::AvgPoolBackward(_)
        | Op::GlobalAvgPoolBackward(_)
        | Op::GlobalMaxPoolBackward(_)
        | Op::BlurPoolBackward(_)
        | Op::ChannelConvBackwardData(_)
        | Op::ChannelConvBackwardFilter(_)
        | Op::ChannelSlice(_)
        | Op::LinearBackwardData(_)
        | Op::LinearBackwardFilter(_)
        | Op::PadShortcutBackward(_)
        | Op::FlattenBackward(_)
        | Op::CrossEntropyBackward(_)
        | Op::TargetLossBackward(_)
        | Op::Update(_) => {
            let (node, op) = (node.name.clone(), ops::operator(&node.op).text());
            return Err(Error::NotInference { node, op });
        }
    }))
}

/// `act(y + residual)`, where a node has them.
fn finish(b: &mut Builder<'_>, id: NodeId, epilogue: &Epilogue, operands: &[Value], mut y: String) -> String {
    if epilogue.residual {
        let residual = b.name(*operands.last().expect("a residual is an operand"));
        y = b.emit(id, "Add", vec![y, residual], Vec::new());
    }
    epilogue.act.map_or(y.clone(), |act| activate(b, id, act, y))
}

fn conv(b: &mut Builder<'_>, id: NodeId, op: &Conv, operands: &[Value]) -> Result<String, Error> {
    let mut inputs = vec![b.name(operands[0]), b.param(operands[1])?];
    if op.bias {
        inputs.push(b.param(operands[2])?);
    }
    let y = b.emit(id, "Conv", inputs, window(&op.attrs));
    Ok(finish(b, id, &op.epilogue, operands, y))
}

fn linear(b: &mut Builder<'_>, id: NodeId, op: &Linear, operands: &[Value]) -> Result<String, Error> {
    let mut inputs = vec![flat(b, id, operands[0]), b.param(operands[1])?];
    if op.bias {
        inputs.push(b.param(operands[2])?);
    }
    Ok(b.emit(id, "Gemm", inputs, vec![("transB", Int(1))]))
}

/// Option A: every `stride`-th pixel, zeros around the channels.
fn pad_shortcut(b: &mut Builder<'_>, id: NodeId, op: &PadShortcut, x: Value) -> String {
    let before = (op.channels - b.shape(x)[1]) / 2;
    let y = layers::every(b, id, op.stride, b.name(x));
    layers::pad_channels(b, id, [before, op.channels], x, y)
}

fn window(attrs: &ConvAttrs) -> Attributes {
    let list = |pair: [usize; 2]| Ints(pair.map(|size| size as i64).to_vec());
    vec![
        ("dilations", list(attrs.dilation)),
        ("group", Int(attrs.groups as i64)),
        ("kernel_shape", list(attrs.kernel)),
        ("pads", pads(attrs.padding, attrs.padding)),
        ("strides", list(attrs.stride)),
    ]
}

fn batch_norm(b: &mut Builder<'_>, id: NodeId, op: &BatchNorm, operands: &[Value]) -> Result<String, Error> {
    let mut inputs = vec![b.name(operands[0])];
    for &param in &operands[1..5] {
        inputs.push(b.param(param)?);
    }
    // ONNX weighs the running statistics, PyTorch the batch's.
    let attributes = vec![("epsilon", Float(op.eps)), ("momentum", Float(1.0 - op.momentum))];
    let y = b.emit(id, "BatchNormalization", inputs, attributes);
    Ok(finish(b, id, &op.epilogue, operands, y))
}

/// From set 21 an operator of its own; before, each group is an instance of one channel, normalised, and scaled per channel.
fn group_norm(b: &mut Builder<'_>, id: NodeId, op: &GroupNorm, operands: &[Value]) -> Result<String, Error> {
    let x = b.name(operands[0]);
    let groups = op.groups as i64;
    if b.opset >= 21 {
        let inputs = vec![x, b.param(operands[1])?, b.param(operands[2])?];
        let attributes = vec![("epsilon", Float(op.eps)), ("num_groups", Int(groups))];
        let y = b.emit(id, "GroupNormalization", inputs, attributes);
        return Ok(finish(b, id, &op.epilogue, operands, y));
    }
    let (into, back) = (layers::reshape_to_groups(b, groups), layers::reshape_to_map(b, operands[0]));
    let (one, zero) = layers::unit_scale(b, op.groups);
    let y = b.emit(id, "Reshape", vec![x, into], Vec::new());
    let y = b.emit(id, "InstanceNormalization", vec![y, one, zero], vec![("epsilon", Float(op.eps))]);
    let y = b.emit(id, "Reshape", vec![y, back], Vec::new());
    let y = affine(b, id, y, operands)?;
    Ok(finish(b, id, &op.epilogue, operands, y))
}

/// `scale[c] * y + shift[c]`
fn affine(b: &mut Builder<'_>, id: NodeId, y: String, operands: &[Value]) -> Result<String, Error> {
    let per_channel = |b: &Builder<'_>, value: Value| vec![b.shape(value)[0], 1, 1];
    let dims = per_channel(b, operands[1]);
    let (scale, shift) = (b.param_as(operands[1], dims.clone())?, b.param_as(operands[2], dims)?);
    let y = b.emit(id, "Mul", vec![y, scale], Vec::new());
    Ok(b.emit(id, "Add", vec![y, shift], Vec::new()))
}

fn scale_shift(b: &mut Builder<'_>, id: NodeId, op: &ScaleShift, x: String) -> String {
    let mut y = x;
    if op.scale != 1.0 {
        let scale = b.scalar(op.scale);
        y = b.emit(id, "Mul", vec![y, scale], Vec::new());
    }
    if op.shift != 0.0 {
        let shift = b.scalar(op.shift);
        y = b.emit(id, "Add", vec![y, shift], Vec::new());
    }
    y
}

/// A map of one pixel as a matrix; a matrix stays one.
fn flat(b: &mut Builder<'_>, id: NodeId, x: Value) -> String {
    let name = b.name(x);
    match b.shape(x).len() {
        2 => name,
        _ => b.emit(id, "Flatten", vec![name], vec![("axis", Int(1))]),
    }
}
