//! Elementwise nonlinearities; their gradients follow from their results alone.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like, same_shape};
use crate::ir::op::{Activation, Op};
use crate::ir::types::TensorType;

pub(super) fn infer(act: &Activation, operands: &[&TensorType]) -> Infer {
    match act {
        Activation::LeakyRelu { slope } if !(slope.is_finite() && *slope > 0.0) => {
            let error = InferError::new(format!("the slope has to be positive, is {slope}"));
            Err(error.help("a slope of 0 is `relu`"))
        }
        Activation::Relu | Activation::LeakyRelu { .. } | Activation::Sigmoid => {
            Ok(vec![like(operands[0], operands[0].shape.clone())])
        }
    }
}

/// From `y = act(x)`: relu `dx = dy where y > 0 else 0`; leaky relu `dx = dy where y > 0 else slope * dy`;
/// sigmoid `dx = dy * y * (1 - y)`.
pub(super) fn vjp(v: &mut Vjp<'_>, act: Activation) -> Gradients {
    let (dy, y) = (v.dy()?, v.result(0));
    Ok(vec![v.emit_if_wanted(0, || Op::ActivateBackward { act }, &[dy, y])])
}

pub(super) fn infer_backward(operands: &[&TensorType]) -> Infer {
    same_shape(operands, 1, &operands[0].shape, "the forward result")?;
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}
