//! The optimizer's update, whatever its rule. All updates with the same constants become one step, which is made where
//! persistent memory is placed.

use super::lowering::Lowering;
use super::operator::{Class, Infer, Legal, Operator, first, in_training, numel, same_shape};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::Update;
use crate::ir::types::TensorType;
use crate::ir::update::is_one;

impl Operator for Update {
    fn text(&self) -> String {
        match is_one(&self.lr_scale) {
            true => self.rule.to_string(),
            false => format!("{} lr_scale={}", self.rule, self.lr_scale),
        }
    }

    fn title(&self) -> String {
        self.rule.name().into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        same_shape(operands, 1, &operands[0].shape, "the gradient")?;
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        let (numel, rows) = (first(operands), operands[0].shape.0.first().copied().unwrap_or(1).max(1));
        self.rule.flops() * numel + self.rule.product_flops([rows, numel as usize / rows])
    }

    /// The parameter is written back; the state, of its size, is read and written too.
    fn hidden_traffic(&self, operands: &[&TensorType]) -> (u64, u64) {
        let bytes = numel(operands[0]) * operands[0].dtype.size() as u64;
        let state = self.rule.state_touched() * bytes;
        (state, bytes + state)
    }
}
