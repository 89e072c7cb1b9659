//! Pooling over windows and over whole images.

use super::conv::window_too_large;
use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like, same_shape};
use crate::ir::op::{Op, PoolAttrs};
use crate::ir::types::{DType, Layout, Shape, TensorType};

/// The maxima, and each one's position in its window as a byte.
pub(super) fn infer_max(attrs: &PoolAttrs, operands: &[&TensorType]) -> Infer {
    let y = output_shape(attrs, operands)?;
    if attrs.kernel[0].checked_mul(attrs.kernel[1]).is_none_or(|taps| taps > 256) {
        let [kh, kw] = attrs.kernel;
        return Err(InferError::new(format!("a window of {kh}x{kw} has more than 256 positions")));
    }
    let positions = TensorType { shape: y.clone(), dtype: DType::U8, layout: Layout::Plain };
    Ok(vec![like(operands[0], y), positions])
}

pub(super) fn infer_avg(attrs: &PoolAttrs, operands: &[&TensorType]) -> Infer {
    Ok(vec![like(operands[0], output_shape(attrs, operands)?)])
}

pub(super) fn infer_global(operands: &[&TensorType]) -> Infer {
    let [n, c, _, _] = feature_map(operands, 0)?;
    Ok(vec![like(operands[0], [n, c, 1, 1])])
}

fn output_shape(attrs: &PoolAttrs, operands: &[&TensorType]) -> Result<Shape, InferError> {
    let [n, c, h, w] = feature_map(operands, 0)?;
    let (oh, ow) = (output_size(attrs, [h, w], 0)?, output_size(attrs, [h, w], 1)?);
    Ok(Shape::from([n, c, oh, ow]))
}

/// `floor((in + 2 * padding - kernel) / stride) + 1`; with `ceil`, rounded up, but a last window that would start in
/// the far border does not count.
fn output_size(attrs: &PoolAttrs, input: [usize; 2], i: usize) -> Result<usize, InferError> {
    let (size, kernel, stride, padding) = (input[i], attrs.kernel[i], attrs.stride[i], attrs.padding[i]);
    if kernel == 0 || stride == 0 {
        return Err(InferError::new("kernel and stride have to be at least 1"));
    }
    if padding > kernel / 2 {
        let message = format!("a border of {padding} is more than half the window of {kernel}");
        return Err(InferError::new(message).help("a window may then lie wholly in the border"));
    }
    let padded = size.checked_add(2 * padding).ok_or_else(|| InferError::new("the image is too large"))?;
    let Some(room) = padded.checked_sub(kernel) else {
        return Err(window_too_large(attrs.kernel, input, attrs.padding));
    };
    let windows = if attrs.ceil { room.div_ceil(stride) } else { room / stride } + 1;
    Ok(if attrs.ceil && (windows - 1) * stride >= size + padding { windows - 1 } else { windows })
}

/// Positions in a window.
pub(super) fn taps(attrs: &PoolAttrs) -> u64 {
    (attrs.kernel[0] * attrs.kernel[1]) as u64
}

/// `dx[p] = sum of dy over the windows whose maximum lies at p`.
pub(super) fn vjp_max(v: &mut Vjp<'_>, attrs: &PoolAttrs) -> Gradients {
    let (dy, positions, input) = (v.dy()?, v.result(1), v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::MaxPoolBackward { attrs: *attrs, input }, &[dy, positions])])
}

/// `dx[p] = sum over the windows that hold p of dy / divisor of the window`.
pub(super) fn vjp_avg(v: &mut Vjp<'_>, attrs: &PoolAttrs) -> Gradients {
    let (dy, input) = (v.dy()?, v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::AvgPoolBackward { attrs: *attrs, input }, &[dy])])
}

/// `dx[p] = dy / (h * w)`.
pub(super) fn vjp_global(v: &mut Vjp<'_>) -> Gradients {
    let (dy, input) = (v.dy()?, v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::GlobalAvgPoolBackward { input }, &[dy])])
}

pub(super) fn infer_max_backward(attrs: &PoolAttrs, input: &Shape, operands: &[&TensorType]) -> Infer {
    let types = infer_avg_backward(attrs, input, operands)?;
    same_shape(operands, 1, &operands[0].shape, "the positions")?;
    if operands[1].dtype != DType::U8 {
        return Err(InferError::new(format!("positions are u8, not {}", operands[1].dtype)).at(1));
    }
    Ok(types)
}

pub(super) fn infer_avg_backward(attrs: &PoolAttrs, input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &output_shape(attrs, &[&dx])?, "the gradient")?;
    Ok(vec![dx])
}

pub(super) fn infer_global_backward(input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &infer_global(&[&dx])?[0].shape, "the gradient")?;
    Ok(vec![dx])
}

/// Most pixels of an image whose maximum is taken: positions are counted in `f32` on their way.
const MAX_PIXELS: usize = 1 << 24;

/// The maxima, and each one's pixel.
pub(super) fn infer_global_max(operands: &[&TensorType]) -> Infer {
    let [n, c, h, w] = feature_map(operands, 0)?;
    if h.checked_mul(w).is_none_or(|pixels| pixels > MAX_PIXELS) {
        return Err(InferError::new(format!("an image of {h}x{w} has more than {MAX_PIXELS} pixels")).at(0));
    }
    let pixels = TensorType { shape: [n, c, 1, 1].into(), dtype: DType::U32, layout: Layout::Plain };
    Ok(vec![like(operands[0], [n, c, 1, 1]), pixels])
}

/// `dx[p] = dy` where `p` is the maximum's pixel, 0 elsewhere.
pub(super) fn vjp_global_max(v: &mut Vjp<'_>) -> Gradients {
    let (dy, pixels, input) = (v.dy()?, v.result(1), v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::GlobalMaxPoolBackward { input }, &[dy, pixels])])
}

pub(super) fn infer_global_max_backward(input: &Shape, operands: &[&TensorType]) -> Infer {
    let types = infer_global_backward(input, operands)?;
    same_shape(operands, 1, &operands[0].shape, "the pixels")?;
    if operands[1].dtype != DType::U32 {
        return Err(InferError::new(format!("pixels are u32, not {}", operands[1].dtype)).at(1));
    }
    Ok(types)
}
