//! Elementwise nonlinearities; their gradients follow from their results alone, or from their inputs alone.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like, same_shape};
use crate::ir::op::{Activation, GradFrom, Op};
use crate::ir::types::TensorType;

pub(super) fn infer(act: &Activation, operands: &[&TensorType]) -> Infer {
    match act {
        Activation::LeakyRelu { slope } if !(slope.is_finite() && *slope > 0.0) => {
            let error = InferError::new(format!("the slope has to be positive, is {slope}"));
            Err(error.help("a slope of 0 is `relu`"))
        }
        Activation::Relu
        | Activation::LeakyRelu { .. }
        | Activation::Sigmoid
        | Activation::Tanh
        | Activation::Silu
        | Activation::Gelu => Ok(vec![like(operands[0], operands[0].shape.clone())]),
    }
}

/// From `y = act(x)`: relu `dx = dy where y > 0 else 0`; leaky relu `dx = dy where y > 0 else slope * dy`;
/// sigmoid `dx = dy * y * (1 - y)`; tanh `dx = dy * (1 - y * y)`.
/// From `x`: silu `dx = dy * s * (1 + x * (1 - s))` with `s = sigmoid(x)`; gelu `dx = dy * (P + x * p)` with the standard
/// normal distribution's `P(x) = (1 + erf(x / sqrt(2))) / 2` and density `p(x) = exp(-x * x / 2) / sqrt(2 * pi)`.
pub(super) fn vjp(v: &mut Vjp<'_>, act: Activation) -> Gradients {
    let dy = v.dy()?;
    let y = match act.grad_from() {
        GradFrom::Result => v.result(0),
        GradFrom::Input => v.operands[0],
    };
    Ok(vec![v.emit_if_wanted(0, || Op::ActivateBackward { act }, &[dy, y])])
}

pub(super) fn infer_backward(operands: &[&TensorType]) -> Infer {
    same_shape(operands, 1, &operands[0].shape, "the activation's result or input")?;
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}
