//! Softmax and the cross-entropy loss.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like};
use crate::ir::op::Op;
use crate::ir::types::{DType, Shape, TensorType};

pub(super) fn infer_softmax(operands: &[&TensorType]) -> Infer {
    matrix(operands)?;
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}

/// The mean loss and the number of images classified rightly, both scalars.
pub(super) fn infer(smoothing: f32, operands: &[&TensorType]) -> Infer {
    if !(0.0..1.0).contains(&smoothing) {
        let message = format!("label smoothing has to be at least 0 and below 1, is {smoothing}");
        return Err(InferError::new(message));
    }
    check(operands)?;
    Ok(vec![TensorType::f32(Shape::default()), TensorType::f32(Shape::default())])
}

/// With `q = (1 - smoothing) * onehot(label) + smoothing / classes`: `dlogits = (softmax(logits) - q) / n`.
pub(super) fn vjp(v: &mut Vjp<'_>, smoothing: f32) -> Gradients {
    if !v.is_loss() {
        return Err("`cross_entropy` has to be the loss itself, not part of a larger one".to_owned());
    }
    let inputs = v.operands.clone();
    Ok(vec![v.emit_if_wanted(0, || Op::CrossEntropyBackward { smoothing }, &inputs), None])
}

pub(super) fn infer_backward(operands: &[&TensorType]) -> Infer {
    check(operands)?;
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}

fn check(operands: &[&TensorType]) -> Result<(), InferError> {
    let [n, _] = matrix(operands)?;
    if operands[1].shape != Shape::from([n]) || operands[1].dtype != DType::U32 {
        let message =
            format!("needs {n} classes of u32, gets {} of {}", operands[1].shape, operands[1].dtype);
        return Err(InferError::new(message).at(1));
    }
    Ok(())
}

fn matrix(operands: &[&TensorType]) -> Result<[usize; 2], InferError> {
    operands[0].shape.0.as_slice().try_into().map_err(|_| {
        let error = InferError::new(format!("needs logits [n, classes], gets {}", operands[0].shape)).at(0);
        error.help("end the head with `linear(classes)`")
    })
}
