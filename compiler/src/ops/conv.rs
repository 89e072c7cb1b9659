//! Convolution and its three gradients: by the input, by the weight, by the bias.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, conv_geometry, matrix};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, epilogue_flops, feature_map, first, in_training, like, numel,
    out, same_shape,
};
use super::window::{too_large, with_bias};
use super::words;
use crate::ir::attrs::{ConvAttrs, Epilogue};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{ChannelSum, Conv, ConvBackwardData, ConvBackwardFilter};
use crate::ir::persistent::Role;
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// `dx[p] = sum over outputs o whose window holds p of w[o, p] * dy[o]` (a transposed convolution);
/// `dw = sum over images and pixels of x * dy`; `db = sum of dy over images and pixels`.
impl Operator for Conv {
    fn text(&self) -> String {
        format!("conv {}{}{}", self.attrs, words::flag(self.bias, "bias"), self.epilogue)
    }

    fn title(&self) -> String {
        let parts = format!("{}{}", words::part(self.bias, "bias"), words::tail(&self.epilogue));
        format!("conv {}{parts}", words::window(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Conv
    }

    fn arity(&self) -> usize {
        2 + usize::from(self.bias) + usize::from(self.epilogue.residual)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let y = output(&self.attrs, operands[0], &operands[1].shape)?;
        if self.bias {
            same_shape(operands, 2, &Shape::from([y.0[1]]), "the bias")?;
        }
        if self.epilogue.residual {
            same_shape(operands, operands.len() - 1, &y, "the residual")?;
        }
        Ok(vec![like(operands[0], y)])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        if self.epilogue != Epilogue::default() {
            return Err("a convolution's epilogue exists in inference only".to_owned());
        }
        let (dy, x, weight) = (v.dy()?, v.operands[0], v.operands[1]);
        let attrs = self.attrs;
        let data = ConvBackwardData { attrs, input: v.shape(0), residual: false };
        let filter = ConvBackwardFilter { attrs, weight: v.shape(1) };
        let dx = v.emit_if_wanted(0, data, &[dy, weight]);
        let dw = v.emit_if_wanted(1, filter, &[x, dy]);
        let mut gradients = vec![dx, dw];
        if self.bias {
            gradients.push(v.emit_if_wanted(2, ChannelSum, &[dy]));
        }
        Ok(gradients)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = conv_geometry(l.shape(0), l.result(), self.attrs, l.precision());
        l.step(kernel::Conv { geometry, bias: self.bias, epilogue: self.epilogue });
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        let fused = self.epilogue != Epilogue::default() && mode == Mode::Train;
        fused.then(|| "a convolution's epilogue is legal in inference only".to_owned())
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    fn params(&self) -> Vec<(usize, Role)> {
        with_bias(Role::ConvWeight, self.bias)
    }

    fn macs(&self, operands: &[&TensorType], results: &[TensorType]) -> u64 {
        macs(operands[1], &results[0])
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (u64::from(self.bias) + epilogue_flops(&self.epilogue))
    }
}

impl Operator for ConvBackwardData {
    fn text(&self) -> String {
        format!("conv_backward_data {}{}", self.attrs, words::flag(self.residual, "add"))
    }

    fn title(&self) -> String {
        format!("conv {} ∂data{}", words::window(&self.attrs), words::part(self.residual, "add"))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2 + usize::from(self.residual)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let dx = like(operands[0], self.input.clone());
        check_gradient(&self.attrs, &dx, &operands[1].shape, operands, 0)?;
        if self.residual {
            same_shape(operands, 2, &self.input, "the residual")?;
        }
        Ok(vec![dx])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = conv_geometry(&self.input, l.shape(0), self.attrs, l.precision());
        l.step(kernel::ConvBackwardData { geometry, residual: self.residual });
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

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * u64::from(self.residual)
    }
}

impl Operator for ConvBackwardFilter {
    fn text(&self) -> String {
        format!("conv_backward_filter {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("conv {} ∂filter", words::window(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        check_gradient(&self.attrs, operands[0], &self.weight, operands, 1)?;
        Ok(vec![TensorType::f32(self.weight.clone())])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = conv_geometry(l.shape(0), l.shape(1), self.attrs, l.precision());
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

impl Operator for ChannelSum {
    fn text(&self) -> String {
        "channel_sum".into()
    }

    fn title(&self) -> String {
        "sum over channels".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    /// `[n, c, h, w]` or `[n, c]` to `[c]`.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        match operands[0].shape.0.as_slice() {
            &[_, c] | &[_, c, _, _] => Ok(vec![TensorType::f32([c])]),
            _ => Err(InferError::new(format!("needs channels, gets {}", operands[0].shape)).at(0)),
        }
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, channels) = matrix(l.shape(0));
        l.step(kernel::ChannelSum { rows, channels });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands)
    }
}

/// Shape of the result of a convolution of `x` with a weight of that shape.
fn output(attrs: &ConvAttrs, x: &TensorType, weight: &Shape) -> Result<Shape, InferError> {
    let [n, cin, h, w] = feature_map(&[x], 0)?;
    let cout = check_weight(attrs, cin, weight)?;
    let [oh, ow] = output_size(attrs, [h, w])?;
    Ok(Shape::from([n, cout, oh, ow]))
}

/// Checks a weight `[cout, cin / groups, kh, kw]` against the input's channels; returns `cout`.
fn check_weight(attrs: &ConvAttrs, cin: usize, weight: &Shape) -> Result<usize, InferError> {
    let groups = attrs.groups;
    let Some([cout, per_group, kh, kw]) = weight.nchw() else {
        return Err(InferError::new(format!("the weight has shape {weight}, needs four sizes")).at(1));
    };
    if groups == 0 || !cin.is_multiple_of(groups) || !cout.is_multiple_of(groups) {
        let message = format!("{groups} groups do not divide {cin} input and {cout} output channels");
        return Err(InferError::new(message).at(0).help(group_help(cin, cout)));
    }
    let wanted = Shape::from([cout, cin / groups, attrs.kernel[0], attrs.kernel[1]]);
    if (per_group, [kh, kw]) != (cin / groups, attrs.kernel) {
        return Err(InferError::new(format!("the weight has shape {weight}, needs {wanted}")).at(1));
    }
    Ok(cout)
}

fn group_help(cin: usize, cout: usize) -> String {
    let (mut a, mut b) = (cin, cout);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    format!("the number of groups has to divide {a}, the greatest common divisor of both")
}

/// Rows and columns of the result: `floor((in + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1`.
fn output_size(attrs: &ConvAttrs, input: [usize; 2]) -> Result<[usize; 2], InferError> {
    let mut out = [0; 2];
    for i in 0..2 {
        let (kernel, stride, dilation) = (attrs.kernel[i], attrs.stride[i], attrs.dilation[i]);
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err(InferError::new("kernel, stride and dilation have to be at least 1"));
        }
        let sizes = (kernel - 1).checked_mul(dilation).and_then(|w| w.checked_add(1));
        let sizes = sizes.zip(attrs.padding[i].checked_mul(2).and_then(|p| p.checked_add(input[i])));
        let Some((window, padded)) = sizes else {
            return Err(InferError::new("the window is too large to count"));
        };
        out[i] = match padded.checked_sub(window) {
            Some(room) => room / stride + 1,
            None => return Err(too_large([window; 2], input, attrs.padding)),
        };
    }
    Ok(out)
}

/// Multiply-accumulates: every output takes `cin / groups * kh * kw` taps.
fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y).saturating_mul(weight.shape.0[1..].iter().product::<usize>() as u64)
}

/// That the operand `dy` has the shape of the forward convolution's result.
fn check_gradient(
    attrs: &ConvAttrs,
    x: &TensorType,
    weight: &Shape,
    operands: &[&TensorType],
    dy: usize,
) -> Result<(), InferError> {
    let y = output(attrs, x, weight)?;
    same_shape(operands, dy, &y, "the gradient")
}
