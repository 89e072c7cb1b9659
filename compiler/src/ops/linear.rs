//! The linear layer and its gradients.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like, numel, same_shape};
use crate::ir::op::Op;
use crate::ir::types::{Shape, TensorType};

pub(super) fn infer(bias: bool, operands: &[&TensorType]) -> Infer {
    let [n, features] = rows(operands, 0)?;
    let &[out, inputs] = operands[1].shape.0.as_slice() else {
        return Err(
            InferError::new(format!("the weight has shape {}, needs [out, in]", operands[1].shape)).at(1)
        );
    };
    if inputs != features {
        let message = format!("the weight takes {inputs} features, the input has {features}");
        return Err(InferError::new(message).at(0));
    }
    if bias {
        same_shape(operands, 2, &Shape::from([out]), "the bias")?;
    }
    Ok(vec![like(operands[0], [n, out])])
}

/// `[n, features]` of a matrix or of maps of one pixel.
fn rows(operands: &[&TensorType], index: usize) -> Result<[usize; 2], InferError> {
    match operands[index].shape.0.as_slice() {
        &[n, features] | &[n, features, 1, 1] => Ok([n, features]),
        _ => {
            let message = format!("needs one vector per image, gets {}", operands[index].shape);
            Err(InferError::new(message).at(index).help("put `global_avgpool` before it"))
        }
    }
}

/// Multiply-accumulates: `in` of them for each output.
pub(super) fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y).saturating_mul(weight.shape.0[1] as u64)
}

/// `dx = dy * w`; `dw = dy^T * x`; `db = sum of dy over images`.
pub(super) fn vjp(v: &mut Vjp<'_>, bias: bool) -> Gradients {
    let (dy, x, weight, input) = (v.dy()?, v.operands[0], v.operands[1], v.shape(0));
    let dx = v.emit_if_wanted(0, || Op::LinearBackwardData { input }, &[dy, weight]);
    let dw = v.emit_if_wanted(1, || Op::LinearBackwardFilter, &[x, dy]);
    let mut gradients = vec![dx, dw];
    if bias {
        gradients.push(v.emit_if_wanted(2, || Op::ChannelSum, &[dy]));
    }
    Ok(gradients)
}

pub(super) fn infer_backward_data(input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &infer(false, &[&dx, operands[1]])?[0].shape, "the gradient")?;
    Ok(vec![dx])
}

pub(super) fn infer_backward_filter(operands: &[&TensorType]) -> Infer {
    let ([n, features], [m, out]) = (rows(operands, 0)?, rows(operands, 1)?);
    if n != m {
        return Err(InferError::new(format!("the gradient has {m} rows, the input {n}")).at(1));
    }
    Ok(vec![TensorType::f32([out, features])])
}
