//! Maps of one pixel as vectors. The numbers stay as they are: they are copied, in place where that can be.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, count};
use super::operator::{Class, Infer, InferError, Legal, Operator, in_training, like, numel};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{Flatten, FlattenBackward};
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `dx = dy`, as a map again.
impl Operator for Flatten {
    fn text(&self) -> String {
        "flatten".into()
    }

    fn title(&self) -> String {
        "flatten".into()
    }

    fn class(&self) -> Class {
        Class::Head
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        match *operands[0].shape.0.as_slice() {
            [n, c] | [n, c, 1, 1] => Ok(vec![like(operands[0], [n, c])]),
            _ => {
                let message = format!("flattens maps of one pixel, gets {}", operands[0].shape);
                Err(InferError::new(message).at(0).help("put `global_avgpool` before it"))
            }
        }
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, input) = (v.dy()?, v.shape(0));
        Ok(vec![v.emit_if_wanted(0, FlattenBackward { input }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        copy(l);
    }
}

impl Operator for FlattenBackward {
    fn text(&self) -> String {
        "flatten_backward".into()
    }

    fn title(&self) -> String {
        "flatten ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let dx = like(operands[0], self.input.clone());
        if numel(&dx) == numel(operands[0]) {
            return Ok(vec![dx]);
        }
        let message = format!("the gradient has shape {}, the input {}", operands[0].shape, self.input);
        Err(InferError::new(message).at(0))
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        copy(l);
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }
}

/// Of one pixel, a map lies in memory as the matrix does.
fn copy(l: &mut Lowering<'_>) {
    l.step(kernel::ScaleShift { len: count(l.result()), scale: 1.0, shift: 0.0 });
}
