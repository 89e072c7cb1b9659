//! Which feature maps are stored as bf16: those whose makers and readers all take them so, where the network multiplies
//! in bf16.
//!
//! Convolutions round what they read to bf16 anyway, so what only they read is the same in half the bytes. A sum that
//! residuals are added to is rounded where it is stored; within a kernel all sums are `f32`.

use super::{BufferId, Operand, Plan, Region, Step};
use crate::ir::types::{DType, Layout};

/// Gives maps their element type; to be called before lifetimes are known.
pub(super) fn choose(plan: &mut Plan) {
    let mut narrow: Vec<bool> =
        (0..plan.buffers.len() as u32).map(|id| is_inner_map(plan, BufferId(id))).collect();
    for buffer in &plan.buffers {
        if let Some(slice) = buffer.slice {
            narrow[slice.of.0 as usize] = false;
        }
    }
    for step in &plan.steps {
        let free = step.kernel.stored_alike().concat();
        for (operand, id) in step.operands() {
            narrow[id.0 as usize] &= free.contains(&operand);
        }
    }
    let mut settled = false;
    while !settled {
        settled = true;
        for step in &plan.steps {
            for group in step.kernel.stored_alike() {
                let ids = || group.iter().filter_map(|&operand| step.operand(operand));
                if ids().any(|id| !narrow[id.0 as usize]) {
                    ids().for_each(|id| settled &= !std::mem::take(&mut narrow[id.0 as usize]));
                }
            }
        }
    }
    for (buffer, _) in plan.buffers.iter_mut().zip(narrow).filter(|(_, narrow)| *narrow) {
        buffer.bytes = buffer.bytes / buffer.dtype.size() * DType::Bf16.size();
        buffer.dtype = DType::Bf16;
    }
}

/// A map that nobody outside of the plan writes or reads, with memory of its own.
fn is_inner_map(plan: &Plan, id: BufferId) -> bool {
    let buffer = plan.buffer(id);
    let is_map = buffer.shape.rank() == 4 && (buffer.dtype, buffer.layout) == (DType::F32, Layout::Nhwc);
    let outside = id == plan.input || plan.outputs.iter().any(|&(_, output)| output == id);
    is_map && buffer.region == Region::Arena && buffer.slice.is_none() && !outside
}

impl Step {
    /// All operands.
    fn operands(&self) -> impl Iterator<Item = (Operand, BufferId)> {
        let inputs = self.inputs.iter().enumerate().map(|(i, &id)| (Operand::Input(i), id));
        inputs.chain(self.outputs.iter().enumerate().map(|(i, &id)| (Operand::Output(i), id)))
    }

    /// The buffer of an operand.
    pub fn operand(&self, operand: Operand) -> Option<BufferId> {
        match operand {
            Operand::Input(i) => self.inputs.get(i),
            Operand::Output(i) => self.outputs.get(i),
        }
        .copied()
    }
}
