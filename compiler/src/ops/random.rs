//! Random operators: dropout, stochastic depth, DropBlock.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like};
use crate::ir::op::{DropPart, Op};
use crate::ir::types::TensorType;

pub(super) fn infer(part: DropPart, rate: f32, operands: &[&TensorType]) -> Infer {
    if !(0.0..1.0).contains(&rate) {
        return Err(InferError::new(format!("the share that is dropped lies in 0..1, is {rate}")));
    }
    if let DropPart::Block { size } = part {
        feature_map(operands, 0)?;
        if size == 0 {
            return Err(InferError::new("a block has at least one row"));
        }
    }
    Ok(vec![like(operands[0], operands[0].shape.clone())])
}

/// `dx = mask * dy`: the same map with the same random numbers.
pub(super) fn vjp(v: &mut Vjp<'_>, part: DropPart, rate: f32, stream: u64) -> Gradients {
    let dy = v.dy()?;
    Ok(vec![v.emit_if_wanted(0, || Op::Drop { part, rate, stream }, &[dy])])
}
