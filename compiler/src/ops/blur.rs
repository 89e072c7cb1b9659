//! Blurred downsampling (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again").

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like, same_shape};
use crate::ir::op::Op;
use crate::ir::types::{Shape, TensorType};

/// Taps of the filter.
pub(super) const TAPS: u64 = 9;

/// Sizes over the stride, rounded up; the image is mirrored at its border, so it has two pixels or more each way.
pub(super) fn infer(stride: [usize; 2], operands: &[&TensorType]) -> Infer {
    let [n, c, h, w] = feature_map(operands, 0)?;
    if stride.contains(&0) {
        return Err(InferError::new("a stride has to be at least 1"));
    }
    if h < 2 || w < 2 {
        let error = InferError::new(format!("an image of {h}x{w} cannot be mirrored at its border")).at(0);
        return Err(error.help("a blur needs two pixels or more in both directions"));
    }
    Ok(vec![like(operands[0], [n, c, h.div_ceil(stride[0]), w.div_ceil(stride[1])])])
}

/// `dx = B^T dy` with the blur `y = B x`: every `dy` goes to the pixels of its window by the filter's weights.
pub(super) fn vjp(v: &mut Vjp<'_>, stride: [usize; 2]) -> Gradients {
    let (dy, input) = (v.dy()?, v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::BlurPoolBackward { stride, input }, &[dy])])
}

pub(super) fn infer_backward(stride: [usize; 2], input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &infer(stride, &[&dx])?[0].shape, "the gradient")?;
    Ok(vec![dx])
}
