//! Multiples with constants.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, count};
use super::operator::{Class, Infer, Operator, like, out};
use crate::ir::graph::Mode;
use crate::ir::op::ScaleShift;
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `dx = scale * dy`
impl Operator for ScaleShift {
    fn text(&self) -> String {
        format!("scale_shift {} {:+}", self.scale, self.shift)
    }

    fn title(&self) -> String {
        format!("{} x {:+}", self.scale, self.shift)
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let dy = v.dy()?;
        if self.scale == 1.0 {
            return Ok(vec![v.wants(0).then_some(dy)]);
        }
        Ok(vec![v.emit_if_wanted(0, ScaleShift { scale: self.scale, shift: 0.0 }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::ScaleShift { len: count(l.result()), scale: self.scale, shift: self.shift });
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        2 * out(results)
    }
}
