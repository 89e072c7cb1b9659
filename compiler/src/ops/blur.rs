//! Blurred downsampling (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again").

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, blur_geometry};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, feature_map, first, in_training, like, out, same_shape,
};
use super::words;
use crate::ir::attrs::pair;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{BlurPool, BlurPoolBackward};
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// Taps of the filter.
const TAPS: u64 = 9;

/// `dx = B^T dy` with the blur `y = B x`: every `dy` goes to the pixels of its window by the filter's weights.
impl Operator for BlurPool {
    fn text(&self) -> String {
        format!("blur_pool s{}", pair(self.stride))
    }

    fn title(&self) -> String {
        format!("blur{}", words::step(self.stride))
    }

    fn class(&self) -> Class {
        Class::Pool
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        Ok(vec![like(operands[0], output(self.stride, operands[0])?)])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, input) = (v.dy()?, v.shape(0));
        Ok(vec![v.emit_if_wanted(0, BlurPoolBackward { stride: self.stride, input }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::BlurPool { geometry: blur_geometry(l.shape(0), l.result(), self.stride) });
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * TAPS
    }
}

impl Operator for BlurPoolBackward {
    fn text(&self) -> String {
        format!("blur_pool_backward s{}", pair(self.stride))
    }

    fn title(&self) -> String {
        "blur ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let dx = like(operands[0], self.input.clone());
        same_shape(operands, 0, &output(self.stride, &dx)?, "the gradient")?;
        Ok(vec![dx])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::BlurPoolBackward { geometry: blur_geometry(&self.input, l.shape(0), self.stride) });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands) * TAPS
    }
}

/// Sizes over the stride, rounded up; the image is mirrored at its border, so it has two pixels or more each way.
fn output(stride: [usize; 2], x: &TensorType) -> Result<Shape, InferError> {
    let [n, c, h, w] = feature_map(&[x], 0)?;
    if stride.contains(&0) {
        return Err(InferError::new("a stride has to be at least 1"));
    }
    if h < 2 || w < 2 {
        let error = InferError::new(format!("an image of {h}x{w} cannot be mirrored at its border")).at(0);
        return Err(error.help("a blur needs two pixels or more in both directions"));
    }
    Ok([n, c, h.div_ceil(stride[0]), w.div_ceil(stride[1])].into())
}
