//! Pooling over windows.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, pool_geometry};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, feature_map, first, in_training, like, out, same_shape,
};
use super::window::too_large;
use super::words;
use crate::ir::attrs::PoolAttrs;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{AvgPool, AvgPoolBackward, MaxPool, MaxPoolBackward};
use crate::ir::types::{DType, Layout, Shape, TensorType};
use crate::plan::kernel;

/// `dx[p] = sum of dy over the windows whose maximum lies at p`
impl Operator for MaxPool {
    fn text(&self) -> String {
        format!("max_pool {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("max pool {}", words::pool(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Pool
    }

    fn arity(&self) -> usize {
        1
    }

    /// The maxima, and each one's position in its window as a byte.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let y = output_shape(&self.attrs, operands[0])?;
        let [kh, kw] = self.attrs.kernel;
        if kh.checked_mul(kw).is_none_or(|taps| taps > 256) {
            return Err(InferError::new(format!("a window of {kh}x{kw} has more than 256 positions")));
        }
        let positions = TensorType { shape: y.clone(), dtype: DType::U8, layout: Layout::Plain };
        Ok(vec![like(operands[0], y), positions])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, positions, input) = (v.dy()?, v.result(1), v.shape(0));
        Ok(vec![v.emit_if_wanted(0, MaxPoolBackward { attrs: self.attrs, input }, &[dy, positions])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let positions = l.is_used(1);
        let geometry = pool_geometry(l.shape(0), l.result(), self.attrs);
        let outputs = (0..1 + u8::from(positions)).map(|port| l.define(port)).collect();
        let inputs = l.operands();
        l.push(kernel::MaxPool { geometry, positions }, inputs, outputs);
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * taps(&self.attrs)
    }
}

impl Operator for MaxPoolBackward {
    fn text(&self) -> String {
        format!("max_pool_backward {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("max pool {} ∂", words::pool(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let types = infer_backward(&self.attrs, &self.input, operands)?;
        same_shape(operands, 1, &operands[0].shape, "the positions")?;
        if operands[1].dtype != DType::U8 {
            return Err(InferError::new(format!("positions are u8, not {}", operands[1].dtype)).at(1));
        }
        Ok(types)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = pool_geometry(&self.input, l.shape(0), self.attrs);
        l.step(kernel::MaxPoolBackward { geometry });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands)
    }
}

/// `dx[p] = sum over the windows that hold p of dy / divisor of the window`
impl Operator for AvgPool {
    fn text(&self) -> String {
        format!("avg_pool {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("average pool {}", words::pool(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Pool
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        Ok(vec![like(operands[0], output_shape(&self.attrs, operands[0])?)])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, input) = (v.dy()?, v.shape(0));
        Ok(vec![v.emit_if_wanted(0, AvgPoolBackward { attrs: self.attrs, input }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = pool_geometry(l.shape(0), l.result(), self.attrs);
        l.step(kernel::AvgPool { geometry });
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * taps(&self.attrs)
    }
}

impl Operator for AvgPoolBackward {
    fn text(&self) -> String {
        format!("avg_pool_backward {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("average pool {} ∂", words::pool(&self.attrs))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        infer_backward(&self.attrs, &self.input, operands)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = pool_geometry(&self.input, l.shape(0), self.attrs);
        l.step(kernel::AvgPoolBackward { geometry });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands) * taps(&self.attrs)
    }
}

fn output_shape(attrs: &PoolAttrs, x: &TensorType) -> Result<Shape, InferError> {
    let [n, c, h, w] = feature_map(&[x], 0)?;
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
        return Err(too_large(attrs.kernel, input, attrs.padding));
    };
    let windows = if attrs.ceil { room.div_ceil(stride) } else { room / stride } + 1;
    Ok(if attrs.ceil && (windows - 1) * stride >= size + padding { windows - 1 } else { windows })
}

fn infer_backward(attrs: &PoolAttrs, input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &output_shape(attrs, &dx)?, "the gradient")?;
    Ok(vec![dx])
}

/// Positions in a window.
fn taps(attrs: &PoolAttrs) -> u64 {
    (attrs.kernel[0] * attrs.kernel[1]) as u64
}
