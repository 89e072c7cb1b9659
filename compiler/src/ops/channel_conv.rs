//! Convolution along channels (Wang et al. 2020, "ECA-Net").

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like, numel, same_shape};
use crate::ir::op::Op;
use crate::ir::types::TensorType;

/// `[n, c, 1, 1]` of operand 0.
fn gate(operands: &[&TensorType]) -> Result<[usize; 4], InferError> {
    let [n, c, h, w] = super::feature_map(operands, 0)?;
    if [h, w] == [1, 1] {
        return Ok([n, c, h, w]);
    }
    let error = InferError::new(format!("needs one pixel per image, gets {}", operands[0].shape)).at(0);
    Err(error.help("put `global_avgpool` before it"))
}

/// `x [n, c, 1, 1], weight [1, 1, k]` to the shape of `x`: `y[c] = sum of weight[j] * x[c + j - (k - 1) / 2]`. Also the
/// gradient of `x`, from that of `y`: `dx[c] = sum of weight[j] * dy[c - j + (k - 1) / 2]`.
pub(super) fn infer(operands: &[&TensorType]) -> Infer {
    let shape = gate(operands)?;
    match operands[1].shape.0[..] {
        [1, 1, kernel] if kernel % 2 == 1 => Ok(vec![like(operands[0], shape)]),
        _ => {
            Err(InferError::new(format!("the weight is {}, not 1x1xk with an odd k", operands[1].shape))
                .at(1))
        }
    }
}

/// `dweight[j] = sum over images and channels of dy[c] * x[c + j - (k - 1) / 2]`.
pub(super) fn vjp(v: &mut Vjp<'_>) -> Gradients {
    let (dy, x, weight) = (v.dy()?, v.operands[0], v.operands[1]);
    let kernel = v.shape(1).0[2];
    let dx = v.emit_if_wanted(0, || Op::ChannelConvBackwardData, &[dy, weight]);
    let dweight = v.emit_if_wanted(1, || Op::ChannelConvBackwardFilter { kernel }, &[x, dy]);
    Ok(vec![dx, dweight])
}

pub(super) fn infer_backward_filter(kernel: usize, operands: &[&TensorType]) -> Infer {
    let shape = gate(operands)?;
    same_shape(operands, 1, &shape.into(), "the gradient")?;
    Ok(vec![like(operands[0], [1, 1, kernel])])
}

/// Elements times the taps of each, border included, as PyTorch's profilers count.
pub(super) fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y) * numel(weight)
}
