//! Convolution and its three gradients: by the input, by the weight, by the bias.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like, numel, same_shape};
use crate::ir::op::{ConvAttrs, Epilogue, Op};
use crate::ir::types::{Shape, TensorType};

pub(super) fn infer(attrs: &ConvAttrs, bias: bool, epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    let x = feature_map(operands, 0)?;
    let cout = check_weight(attrs, x[1], &operands[1].shape)?;
    let [oh, ow] = output_size(attrs, [x[2], x[3]])?;
    let y = Shape::from([x[0], cout, oh, ow]);
    if bias {
        same_shape(operands, 2, &Shape::from([cout]), "the bias")?;
    }
    if epilogue.residual {
        same_shape(operands, operands.len() - 1, &y, "the residual")?;
    }
    Ok(vec![like(operands[0], y)])
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
pub(super) fn output_size(attrs: &ConvAttrs, input: [usize; 2]) -> Result<[usize; 2], InferError> {
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
            None => return Err(window_too_large([window; 2], input, attrs.padding)),
        };
    }
    Ok(out)
}

/// The image, border included, is smaller than one window.
pub(super) fn window_too_large(window: [usize; 2], input: [usize; 2], padding: [usize; 2]) -> InferError {
    let [h, w] = input;
    let message = format!(
        "a window of {}x{} does not fit the {h}x{w} image with a border of {}x{}",
        window[0], window[1], padding[0], padding[1]
    );
    InferError::new(message).at(0).help("use fewer strides before it, a smaller window, or a larger input")
}

/// Multiply-accumulates: every output takes `cin / groups * kh * kw` taps.
pub(super) fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y).saturating_mul(weight.shape.0[1..].iter().product::<usize>() as u64)
}

/// `dx[p] = sum over outputs o whose window holds p of w[o, p] * dy[o]` (a transposed convolution);
/// `dw = sum over images and pixels of x * dy`; `db = sum of dy over images and pixels`.
pub(super) fn vjp(v: &mut Vjp<'_>, attrs: &ConvAttrs, bias: bool, epilogue: &Epilogue) -> Gradients {
    if *epilogue != Epilogue::default() {
        return Err("a convolution's epilogue exists in inference only".to_owned());
    }
    let (dy, x, weight) = (v.dy()?, v.operands[0], v.operands[1]);
    let (input, shape) = (v.shape(0), v.shape(1));
    let data = || Op::ConvBackwardData { attrs: *attrs, input, residual: false };
    let filter = || Op::ConvBackwardFilter { attrs: *attrs, weight: shape };
    let dx = v.emit_if_wanted(0, data, &[dy, weight]);
    let dw = v.emit_if_wanted(1, filter, &[x, dy]);
    let mut gradients = vec![dx, dw];
    if bias {
        gradients.push(v.emit_if_wanted(2, || Op::ChannelSum, &[dy]));
    }
    Ok(gradients)
}

pub(super) fn infer_backward_data(
    attrs: &ConvAttrs,
    input: &Shape,
    residual: bool,
    operands: &[&TensorType],
) -> Infer {
    let dx = like(operands[0], input.clone());
    check_gradient(attrs, &dx, operands[1], operands, 0)?;
    if residual {
        same_shape(operands, 2, input, "the residual")?;
    }
    Ok(vec![dx])
}

pub(super) fn infer_backward_filter(attrs: &ConvAttrs, weight: &Shape, operands: &[&TensorType]) -> Infer {
    let dw = TensorType::f32(weight.clone());
    check_gradient(attrs, operands[0], &dw, operands, 1)?;
    Ok(vec![dw])
}

/// That the operand `dy` has the shape of the forward convolution's result.
fn check_gradient(
    attrs: &ConvAttrs,
    x: &TensorType,
    weight: &TensorType,
    operands: &[&TensorType],
    dy: usize,
) -> Result<(), InferError> {
    let y = infer(attrs, false, &Epilogue::default(), &[x, weight])?;
    same_shape(operands, dy, &y[0].shape, "the gradient")
}

/// `[n, c, h, w]` or `[n, c]` to `[c]`.
pub(super) fn infer_channel_sum(operands: &[&TensorType]) -> Infer {
    match operands[0].shape.0.as_slice() {
        &[_, c] | &[_, c, _, _] => Ok(vec![TensorType::f32([c])]),
        _ => Err(InferError::new(format!("needs channels, gets {}", operands[0].shape)).at(0)),
    }
}
