//! Which feature maps, and gradients of maps, are stored in the narrow type that the network multiplies in: those whose makers
//! and readers all take them so.
//!
//! Convolutions round what they read to that type anyway, so what only they read is the same in half the bytes. Everything else is
//! rounded where it is stored, as in mixed training elsewhere; within a kernel all sums are `f32`, and so are statistics,
//! parameters, and their gradients.
//!
//! A map that is computed again is stored as it was the first time, or the bits of what is made from it would be others.

use super::{BufferId, Operands, Plan, Region, Step};
use crate::backend::Backend;
use crate::ir::types::DType;

/// Gives maps their element type; to be called before lifetimes are known.
pub(super) fn choose(plan: &mut Plan, backend: &Backend, alike: &[[BufferId; 2]]) {
    let stored = plan.precision();
    if !backend.narrow.contains(&stored) {
        return;
    }
    let operands: Vec<Operands> = plan.steps.iter().map(Step::operands).collect();
    let mut narrow: Vec<bool> =
        (0..plan.buffers.len() as u32).map(|id| is_inner_map(plan, BufferId(id))).collect();
    for buffer in &plan.buffers {
        if let Some(slice) = buffer.slice {
            narrow[slice.of.0 as usize] = false;
        }
    }
    for (step, operands) in plan.steps.iter().zip(&operands) {
        for (id, operand) in step.buffers().zip(operands.all()) {
            narrow[id.0 as usize] &= operand.narrow.is_some();
        }
    }
    let mut settled = false;
    while !settled {
        settled = true;
        for pair in alike {
            let [first, again] = pair.map(|id| id.0 as usize);
            settled &= narrow[first] == narrow[again];
            narrow[first] &= narrow[again];
            narrow[again] = narrow[first];
        }
        for (step, operands) in plan.steps.iter().zip(&operands) {
            for group in 0..operands.narrow_groups() {
                let members = || step.buffers().zip(operands.all()).filter(|(_, o)| o.narrow == Some(group));
                if members().any(|(id, _)| !narrow[id.0 as usize]) {
                    members().for_each(|(id, _)| settled &= !std::mem::take(&mut narrow[id.0 as usize]));
                }
            }
        }
    }
    for (buffer, _) in plan.buffers.iter_mut().zip(narrow).filter(|(_, narrow)| *narrow) {
        buffer.bytes = buffer.bytes / buffer.dtype.size() * stored.size();
        buffer.dtype = stored;
    }
}

/// A map that nobody outside of the plan writes or reads, with memory of its own.
fn is_inner_map(plan: &Plan, id: BufferId) -> bool {
    let buffer = plan.buffer(id);
    let is_map = buffer.shape.rank() == 4 && (buffer.dtype, buffer.layout) == (DType::F32, plan.layouts.maps);
    let outside = id == plan.input || plan.outputs.iter().any(|&(_, output)| output == id);
    is_map && buffer.region == Region::Arena && buffer.slice.is_none() && !outside
}
