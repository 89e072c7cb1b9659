//! Elementwise nonlinearities; their gradients follow from their results alone, or from their inputs alone. The functions
//! and their derivatives stand in `ir/activation.rs`.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, count};
use super::operator::{Class, Infer, InferError, Legal, Operator, in_training, like, out, same_shape};
use super::words;
use crate::ir::activation::GradFrom;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{Activate, ActivateBackward};
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `dx = dy * act'`
impl Operator for Activate {
    fn text(&self) -> String {
        self.act.to_string()
    }

    fn title(&self) -> String {
        words::spoken(self.act.info().name)
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        match self.act.parameter() {
            Some(slope) if !(slope.is_finite() && slope > 0.0) => {
                let error = InferError::new(format!("the slope has to be positive, is {slope}"));
                Err(error.help("a slope of 0 is `relu`"))
            }
            Some(_) | None => Ok(vec![like(operands[0], operands[0].shape.clone())]),
        }
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let dy = v.dy()?;
        let y = match self.act.grad_from() {
            GradFrom::Result => v.result(0),
            GradFrom::Input => v.operands[0],
        };
        Ok(vec![v.emit_if_wanted(0, ActivateBackward { act: self.act }, &[dy, y])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::Activate { len: count(l.result()), act: self.act });
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results)
    }
}

impl Operator for ActivateBackward {
    fn text(&self) -> String {
        format!("{}_backward", self.act)
    }

    fn title(&self) -> String {
        format!("{} ∂", words::spoken(self.act.info().name))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        same_shape(operands, 1, &operands[0].shape, "the activation's result or input")?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::ActivateBackward { len: count(l.result()), act: self.act });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results)
    }
}
