//! What batch and group normalisation share.

use super::gradient::{Gradients, Vjp};
use super::lowering::Lowering;
use super::operator::{Infer, InferError, feature_map, like, same_shape};
use crate::ir::attrs::Epilogue;
use crate::ir::graph::Value;
use crate::ir::op::Op;
use crate::ir::types::{Shape, TensorType};
use crate::plan::{BufferId, Kernel};

/// The vectors behind the map, in the words of messages.
pub(super) const TENSORS: [&str; 4] = ["the scale", "the shift", "the running mean", "the running variance"];

/// Operations per element. Mean: 1; variance: 3; normalise, scale, shift: 4.
pub(super) const FLOPS: u64 = 8;

/// Operations per element of a gradient. Reduce: 4; apply: 5; mask: 1.
pub(super) fn backward_flops(epilogue: &Epilogue) -> u64 {
    9 + u64::from(epilogue.act.is_some())
}

/// That the operands after the first are vectors of its channels; returns their shape.
pub(super) fn check_channels(operands: &[&TensorType], names: &[&str]) -> Result<Shape, InferError> {
    let [_, c, _, _] = feature_map(operands, 0)?;
    let channels = Shape::from([c]);
    for (i, name) in names.iter().enumerate() {
        same_shape(operands, i + 1, &channels, name)?;
    }
    Ok(channels)
}

/// That the residual, the last operand, has the map's shape.
pub(super) fn check_residual(epilogue: &Epilogue, operands: &[&TensorType]) -> Result<(), InferError> {
    if epilogue.residual {
        same_shape(operands, operands.len() - 1, &operands[0].shape, "the residual")?;
    }
    Ok(())
}

/// That groups divide channels.
pub(super) fn check_groups(groups: usize, channels: usize) -> Result<(), InferError> {
    if groups > 0 && channels.is_multiple_of(groups) {
        return Ok(());
    }
    let error = InferError::new(format!("{groups} groups do not divide {channels} channels")).at(0);
    Err(error.help("the channels of a normalisation are a multiple of its groups"))
}

/// Gradients of `x, scale, shift [, residual]`, all results of one operator; its last operand is what an activation is
/// undone by.
pub(super) fn gradients(v: &mut Vjp<'_>, op: impl Into<Op>, epilogue: &Epilogue, masks: Value) -> Gradients {
    let dy = v.dy()?;
    let mut inputs = vec![dy, v.operands[0], v.result(1), v.result(2), v.operands[1]];
    if epilogue.act.is_some() {
        inputs.push(masks);
    }
    let wanted: Vec<usize> = (0..v.operands.len()).filter(|&i| v.wants(i)).collect();
    let dx = v.emit(&wanted, op, &inputs);
    let port = |i: usize, port| v.wants(i).then_some(Value { port, ..dx });
    let mut gradients = vec![port(0, 0), port(1, 1), port(2, 2)];
    if epilogue.residual {
        gradients.push(port(v.operands.len() - 1, 3));
    }
    Ok(gradients)
}

/// `dy, x, mean, rstd, scale [, shift | , y]` to `dx, dscale, dshift [, dresidual]`.
pub(super) fn infer_backward(
    operands: &[&TensorType],
    statistics: &Shape,
    epilogue: &Epilogue,
    by_shift: bool,
) -> Infer {
    let [_, c, _, _] = feature_map(operands, 0)?;
    let (map, channels) = (operands[0].shape.clone(), Shape::from([c]));
    same_shape(operands, 1, &map, "the forward input")?;
    same_shape(operands, 2, statistics, "the mean")?;
    same_shape(operands, 3, statistics, "the deviation")?;
    same_shape(operands, 4, &channels, "the scale")?;
    if by_shift {
        same_shape(operands, 5, &channels, "the shift")?;
    } else if epilogue.act.is_some() {
        same_shape(operands, 5, &map, "the forward result")?;
    }
    let vector = TensorType::f32(channels);
    let mut types = vec![like(operands[0], map.clone()), vector.clone(), vector];
    if epilogue.residual {
        types.push(like(operands[0], map));
    }
    Ok(types)
}

/// Adds the second pass of a gradient, where anyone reads what it makes.
pub(super) fn lower_apply(
    l: &mut Lowering<'_>,
    kernel: impl Into<Kernel>,
    inputs: Vec<BufferId>,
    epilogue: &Epilogue,
) {
    let ports: &[u8] = if epilogue.residual { &[0, 3] } else { &[0] };
    if ports.iter().any(|&port| l.is_used(port)) {
        let outputs = ports.iter().map(|&port| l.define(port)).collect();
        l.push(kernel, inputs, outputs);
    }
}
