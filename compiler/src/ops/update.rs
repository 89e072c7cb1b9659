//! The optimizer's update.

use super::{Cost, Infer, numel, same_shape};
use crate::ir::op::SgdAttrs;
use crate::ir::types::TensorType;

pub(super) fn infer(operands: &[&TensorType]) -> Infer {
    same_shape(operands, 1, &operands[0].shape, "the gradient")?;
    Ok(Vec::new())
}

/// The parameter is written back; with momentum a velocity of its size is read and written too.
pub(super) fn add_traffic(cost: &mut Cost, sgd: &SgdAttrs, operands: &[&TensorType]) {
    let bytes = numel(operands[0]) * operands[0].dtype.size() as u64;
    let velocity = if sgd.momentum == 0.0 { 0 } else { bytes };
    cost.read += velocity;
    cost.written += bytes + velocity;
}
