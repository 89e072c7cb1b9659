//! Batch normalisation (Ioffe and Szegedy 2015), group normalisation (Wu and He 2018), their gradients, and what is left
//! of the former in inference.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like, same_shape};
use crate::ir::graph::{Mode, Value};
use crate::ir::op::{Epilogue, Op};
use crate::ir::types::{Shape, TensorType};

const TENSORS: [&str; 4] = ["the scale", "the shift", "the running mean", "the running variance"];

/// One result in inference; the map, the batch's mean and its reciprocal standard deviation in training.
pub(super) fn infer(mode: Mode, epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    let channels = check_channels(operands, &TENSORS)?;
    check_residual(epilogue, operands)?;
    let y = like(operands[0], operands[0].shape.clone());
    Ok(match mode {
        Mode::Infer => vec![y],
        Mode::Train => vec![y, TensorType::f32(channels.clone()), TensorType::f32(channels)],
    })
}

/// The map, and mean and reciprocal standard deviation of every group of every image.
pub(super) fn infer_group(groups: usize, epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    check_channels(operands, &TENSORS[..2])?;
    check_residual(epilogue, operands)?;
    let [n, c, _, _] = feature_map(operands, 0)?;
    check_groups(groups, c)?;
    let statistic = TensorType::f32([n, groups]);
    Ok(vec![like(operands[0], operands[0].shape.clone()), statistic.clone(), statistic])
}

/// That groups divide channels.
pub(super) fn check_groups(groups: usize, channels: usize) -> Result<(), InferError> {
    if groups > 0 && channels.is_multiple_of(groups) {
        return Ok(());
    }
    let error = InferError::new(format!("{groups} groups do not divide {channels} channels")).at(0);
    Err(error.help("the channels of a normalisation are a multiple of its groups"))
}

pub(super) fn infer_affine(epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    check_channels(operands, &TENSORS[..2])?;
    check_residual(epilogue, operands)?;
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}

/// That the operands after the first are vectors of its channels; returns their shape.
fn check_channels(operands: &[&TensorType], names: &[&str]) -> Result<Shape, InferError> {
    let [_, c, _, _] = feature_map(operands, 0)?;
    let channels = Shape::from([c]);
    for (i, name) in names.iter().enumerate() {
        same_shape(operands, i + 1, &channels, name)?;
    }
    Ok(channels)
}

fn check_residual(epilogue: &Epilogue, operands: &[&TensorType]) -> Result<(), InferError> {
    if epilogue.residual {
        same_shape(operands, operands.len() - 1, &operands[0].shape, "the residual")?;
    }
    Ok(())
}

/// With `g = dy * act'(y)`, `xhat = (x - mean) * rstd` and `m` values per channel:
/// `dshift = sum g`; `dscale = sum g * xhat`; `dx = scale * rstd * (g - dshift / m - xhat * dscale / m)`;
/// the residual's gradient is `g`.
pub(super) fn vjp(v: &mut Vjp<'_>, epilogue: &Epilogue) -> Gradients {
    let masks = if epilogue.recomputes_sign() { v.operands[2] } else { v.result(0) };
    let mut gradients = backward(v, Op::BatchNormBackward { epilogue: *epilogue }, epilogue, masks)?;
    // Operands: x, scale, shift, running mean, running variance [, residual].
    gradients.splice(3..3, [None, None]);
    Ok(gradients)
}

/// With `g` and `xhat` as above, `s = scale * g` and means over each group of each image: `dshift = sum g`;
/// `dscale = sum g * xhat`; `dx = rstd * (s - mean(s) - xhat * mean(s * xhat))`; the residual's gradient is `g`.
pub(super) fn vjp_group(v: &mut Vjp<'_>, groups: usize, epilogue: &Epilogue) -> Gradients {
    let y = v.result(0);
    backward(v, Op::GroupNormBackward { groups, epilogue: *epilogue }, epilogue, y)
}

/// Gradients of `x, scale, shift [, residual]`, all results of one operator; its last operand is what an activation is
/// undone by.
fn backward(v: &mut Vjp<'_>, op: Op, epilogue: &Epilogue, masks: Value) -> Gradients {
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

/// `dy, x, mean, rstd, scale [, y | , shift]` to `dx, dscale, dshift [, dresidual]`; statistics are per image and group where there
/// are groups, else per channel.
pub(super) fn infer_backward(groups: Option<usize>, epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    let [n, c, _, _] = feature_map(operands, 0)?;
    let (map, channels) = (operands[0].shape.clone(), Shape::from([c]));
    let statistics = match groups {
        None => channels.clone(),
        Some(groups) => {
            check_groups(groups, c)?;
            [n, groups].into()
        }
    };
    same_shape(operands, 1, &map, "the forward input")?;
    same_shape(operands, 2, &statistics, "the mean")?;
    same_shape(operands, 3, &statistics, "the deviation")?;
    same_shape(operands, 4, &channels, "the scale")?;
    if groups.is_none() && epilogue.recomputes_sign() {
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
