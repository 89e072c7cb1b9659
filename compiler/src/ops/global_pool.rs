//! Mean and maximum over whole images.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, image_sizes};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, feature_map, first, in_training, like, out, same_shape,
};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{GlobalAvgPool, GlobalAvgPoolBackward, GlobalMaxPool, GlobalMaxPoolBackward};
use crate::ir::types::{DType, Layout, Shape, TensorType};
use crate::plan::kernel;

/// `dx[p] = dy / (h * w)`
impl Operator for GlobalAvgPool {
    fn text(&self) -> String {
        "global_avg_pool".into()
    }

    fn title(&self) -> String {
        "global average pool".into()
    }

    fn class(&self) -> Class {
        Class::Pool
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [n, c, _, _] = feature_map(operands, 0)?;
        Ok(vec![like(operands[0], [n, c, 1, 1])])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, input) = (v.dy()?, v.shape(0));
        Ok(vec![v.emit_if_wanted(0, GlobalAvgPoolBackward { input }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let [images, pixels, channels] = image_sizes(l.shape(0));
        l.step(kernel::GlobalAvgPool { images, pixels, channels });
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands)
    }
}

impl Operator for GlobalAvgPoolBackward {
    fn text(&self) -> String {
        "global_avg_pool_backward".into()
    }

    fn title(&self) -> String {
        "global average pool ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        infer_backward(&self.input, operands)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let [images, pixels, channels] = image_sizes(&self.input);
        l.step(kernel::GlobalAvgPoolBackward { images, pixels, channels });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results)
    }
}

/// Most pixels of an image whose maximum is taken: positions are counted in `f32` on their way.
const MAX_PIXELS: usize = 1 << 24;

/// `dx[p] = dy` where `p` is the maximum's pixel, 0 elsewhere.
impl Operator for GlobalMaxPool {
    fn text(&self) -> String {
        "global_max_pool".into()
    }

    fn title(&self) -> String {
        "global max pool".into()
    }

    fn class(&self) -> Class {
        Class::Pool
    }

    fn arity(&self) -> usize {
        1
    }

    /// The maxima, and each one's pixel.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [n, c, h, w] = feature_map(operands, 0)?;
        if h.checked_mul(w).is_none_or(|pixels| pixels > MAX_PIXELS) {
            let message = format!("an image of {h}x{w} has more than {MAX_PIXELS} pixels");
            return Err(InferError::new(message).at(0));
        }
        let pixels = TensorType { shape: [n, c, 1, 1].into(), dtype: DType::U32, layout: Layout::Plain };
        Ok(vec![like(operands[0], [n, c, 1, 1]), pixels])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, pixels, input) = (v.dy()?, v.result(1), v.shape(0));
        Ok(vec![v.emit_if_wanted(0, GlobalMaxPoolBackward { input }, &[dy, pixels])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let [images, pixels, channels] = image_sizes(l.shape(0));
        let positions = l.is_used(1);
        let outputs = (0..1 + u8::from(positions)).map(|port| l.define(port)).collect();
        let inputs = l.operands();
        l.push(kernel::GlobalMaxPool { images, pixels, channels, positions }, inputs, outputs);
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands)
    }
}

impl Operator for GlobalMaxPoolBackward {
    fn text(&self) -> String {
        "global_max_pool_backward".into()
    }

    fn title(&self) -> String {
        "global max pool ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let types = infer_backward(&self.input, operands)?;
        same_shape(operands, 1, &operands[0].shape, "the pixels")?;
        if operands[1].dtype != DType::U32 {
            return Err(InferError::new(format!("pixels are u32, not {}", operands[1].dtype)).at(1));
        }
        Ok(types)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let [images, pixels, channels] = image_sizes(&self.input);
        l.step(kernel::GlobalMaxPoolBackward { images, pixels, channels });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results)
    }
}

/// A gradient of one pixel per channel to one of the input's shape.
fn infer_backward(input: &Shape, operands: &[&TensorType]) -> Infer {
    let dx = like(operands[0], input.clone());
    let [n, c, _, _] = feature_map(&[&dx], 0)?;
    same_shape(operands, 0, &Shape::from([n, c, 1, 1]), "the gradient")?;
    Ok(vec![dx])
}
