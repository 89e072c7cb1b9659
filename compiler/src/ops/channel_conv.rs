//! Convolution along channels (Wang et al. 2020, "ECA-Net"), lowered to a convolution along the columns of a row.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, channel_geometry};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, feature_map, in_training, like, numel, same_shape,
};
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{ChannelConv, ChannelConvBackwardData, ChannelConvBackwardFilter};
use crate::ir::persistent::Role;
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `y[c] = sum of weight[j] * x[c + j - (k - 1) / 2]`;
/// `dweight[j] = sum over images and channels of dy[c] * x[c + j - (k - 1) / 2]`.
impl Operator for ChannelConv {
    fn text(&self) -> String {
        "channel_conv".into()
    }

    fn title(&self) -> String {
        "conv over channels".into()
    }

    fn class(&self) -> Class {
        Class::Conv
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        output(operands)
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, x, weight) = (v.dy()?, v.operands[0], v.operands[1]);
        let kernel = v.shape(1).0[2];
        let dx = v.emit_if_wanted(0, ChannelConvBackwardData, &[dy, weight]);
        let dweight = v.emit_if_wanted(1, ChannelConvBackwardFilter { kernel }, &[x, dy]);
        Ok(vec![dx, dweight])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = channel_geometry(l.shape(0), l.shape(1));
        l.step(kernel::Conv { geometry, bias: false, epilogue: Epilogue::default() });
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::ConvWeight)]
    }

    fn macs(&self, operands: &[&TensorType], results: &[TensorType]) -> u64 {
        macs(operands[1], &results[0])
    }
}

/// `dx[c] = sum of weight[j] * dy[c - j + (k - 1) / 2]`
impl Operator for ChannelConvBackwardData {
    fn text(&self) -> String {
        "channel_conv_backward_data".into()
    }

    fn title(&self) -> String {
        "conv over channels ∂data".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        output(operands)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = channel_geometry(l.shape(0), l.shape(1));
        l.step(kernel::ConvBackwardData { geometry, residual: false });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::ConvWeight)]
    }

    fn macs(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        macs(operands[1], operands[0])
    }
}

impl Operator for ChannelConvBackwardFilter {
    fn text(&self) -> String {
        "channel_conv_backward_filter".into()
    }

    fn title(&self) -> String {
        "conv over channels ∂filter".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let shape = gate(operands)?;
        same_shape(operands, 1, &shape.into(), "the gradient")?;
        Ok(vec![like(operands[0], [1, 1, self.kernel])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = channel_geometry(l.shape(0), l.result());
        l.step(kernel::ConvBackwardFilter { geometry });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn makes_weight(&self) -> bool {
        true
    }

    fn macs(&self, operands: &[&TensorType], results: &[TensorType]) -> u64 {
        macs(&results[0], operands[1])
    }
}

/// `[n, c, 1, 1]` of operand 0.
fn gate(operands: &[&TensorType]) -> Result<[usize; 4], InferError> {
    let [n, c, h, w] = feature_map(operands, 0)?;
    if [h, w] == [1, 1] {
        return Ok([n, c, h, w]);
    }
    let error = InferError::new(format!("needs one pixel per image, gets {}", operands[0].shape)).at(0);
    Err(error.help("put `global_avgpool` before it"))
}

/// Of the shape of operand 0, for a weight `[1, 1, k]` with an odd `k`.
fn output(operands: &[&TensorType]) -> Infer {
    let shape = gate(operands)?;
    match operands[1].shape.0[..] {
        [1, 1, kernel] if kernel % 2 == 1 => Ok(vec![like(operands[0], shape)]),
        _ => {
            Err(InferError::new(format!("the weight is {}, not 1x1xk with an odd k", operands[1].shape))
                .at(1))
        }
    }
}

/// Elements times the taps of each, border included, as PyTorch's profilers count.
fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y) * numel(weight)
}
