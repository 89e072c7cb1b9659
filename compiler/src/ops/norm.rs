//! Batch normalisation (Ioffe and Szegedy 2015), its gradient, and what is left of it in inference.

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
    let dy = v.dy()?;
    let mut inputs = vec![dy, v.operands[0], v.result(1), v.result(2), v.operands[1]];
    if epilogue.act.is_some() {
        inputs.push(v.result(0));
    }
    let wanted: Vec<usize> = (0..v.operands.len()).filter(|&i| v.wants(i)).collect();
    let dx = v.emit(&wanted, Op::BatchNormBackward { epilogue: *epilogue }, &inputs);
    let port = |i: usize, port| v.wants(i).then_some(Value { port, ..dx });
    // Operands: x, scale, shift, running mean, running variance [, residual].
    let mut gradients = vec![port(0, 0), port(1, 1), port(2, 2), None, None];
    if epilogue.residual {
        gradients.push(port(5, 3));
    }
    Ok(gradients)
}

/// `dy, x, mean, rstd, scale [, y]` to `dx, dscale, dshift [, dresidual]`.
pub(super) fn infer_backward(epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    let [_, c, _, _] = feature_map(operands, 0)?;
    let (map, channels) = (operands[0].shape.clone(), Shape::from([c]));
    same_shape(operands, 1, &map, "the forward input")?;
    for (i, name) in [(2, "the mean"), (3, "the deviation"), (4, "the scale")] {
        same_shape(operands, i, &channels, name)?;
    }
    if epilogue.act.is_some() {
        same_shape(operands, 5, &map, "the forward result")?;
    }
    let vector = TensorType::f32(channels);
    let mut types = vec![like(operands[0], map.clone()), vector.clone(), vector];
    if epilogue.residual {
        types.push(like(operands[0], map));
    }
    Ok(types)
}
