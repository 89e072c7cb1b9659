//! Random operators: dropout, stochastic depth, DropBlock.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, drop_geometry};
use super::operator::{ALWAYS, Class, Infer, InferError, Legal, Operator, feature_map, like, out};
use crate::ir::attrs::DropPart;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::Drop;
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `dx = mask * dy`: the same map with the same random numbers.
impl Operator for Drop {
    fn text(&self) -> String {
        format!("drop {} {}", self.part, self.rate)
    }

    fn title(&self) -> String {
        self.text()
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let rate = self.rate;
        if !(0.0..1.0).contains(&rate) {
            return Err(InferError::new(format!("the share that is dropped lies in 0..1, is {rate}")));
        }
        if let DropPart::Block { size } = self.part {
            feature_map(operands, 0)?;
            if size == 0 {
                return Err(InferError::new("a block has at least one row"));
            }
        }
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let dy = v.dy()?;
        Ok(vec![v.emit_if_wanted(0, self.clone(), &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let Drop { part, rate, stream } = *self;
        let kernel = kernel::Drop { geometry: drop_geometry(l.result()), part, rate, stream };
        let mut inputs = l.operands();
        inputs.extend([l.plan.seed(), l.plan.step_number()]);
        let y = l.define(0);
        l.push(kernel, inputs, vec![y]);
    }

    fn legal(&self, mode: Mode) -> Legal {
        match mode {
            Mode::Infer => Some((Stage::Built, Stage::Expanded)),
            Mode::Train => ALWAYS,
        }
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results)
    }
}
