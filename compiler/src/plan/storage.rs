//! Which feature maps, and gradients of maps, are stored as bf16: those whose makers and readers all take them so, where the
//! network multiplies in bf16.
//!
//! Convolutions round what they read to bf16 anyway, so what only they read is the same in half the bytes. Everything else is
//! rounded where it is stored, as in mixed training elsewhere; within a kernel all sums are `f32`, and so are statistics,
//! parameters, and their gradients.

use super::{BufferId, Kernel, Operand, Plan, Region, Step};
use crate::ir::op::Epilogue;
use crate::ir::types::{DType, Layout};

/// Gives maps their element type; to be called before lifetimes are known.
pub(super) fn choose(plan: &mut Plan) {
    if plan.precision() != DType::Bf16 {
        return;
    }
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

impl Kernel {
    /// Feature maps that may be stored as bf16 instead of `f32`; of each group all are, or none. Only products of matrices have
    /// more than one group.
    pub fn stored_alike(&self) -> &'static [&'static [Operand]] {
        use Operand::{Input, Output};
        let residual = |epilogue: &Epilogue| epilogue.residual;
        // The result, where the gradient needs it.
        let result = |epilogue: &Epilogue| epilogue.act.is_some() && !epilogue.recomputes_sign();
        match self {
            Kernel::Conv { geometry, .. }
            | Kernel::ConvBackwardData { geometry, .. }
            | Kernel::ConvBackwardFilter { geometry }
                if geometry.precision != DType::Bf16 =>
            {
                &[]
            }
            Kernel::Conv { bias: false, epilogue, .. } if residual(epilogue) => {
                &[&[Input(0)], &[Input(2), Output(0)]]
            }
            Kernel::Conv { epilogue, .. } if residual(epilogue) => &[&[Input(0)], &[Input(3), Output(0)]],
            Kernel::ConvBackwardData { residual: true, .. } => &[&[Input(0)], &[Input(2), Output(0)]],
            Kernel::Conv { .. } | Kernel::ConvBackwardData { .. } => &[&[Input(0)], &[Output(0)]],
            Kernel::ConvBackwardFilter { .. } => &[&[Input(0)], &[Input(1)]],
            Kernel::BnApply { epilogue, .. } | Kernel::GroupApply { epilogue, .. } if residual(epilogue) => {
                &[&[Input(0), Input(5), Output(0)]]
            }
            Kernel::Affine { epilogue, .. } if residual(epilogue) => &[&[Input(0), Input(3), Output(0)]],
            Kernel::BnBackwardReduce { epilogue, .. } if result(epilogue) => {
                &[&[Input(0), Input(1), Input(4)]]
            }
            Kernel::GroupBackwardReduce { act: Some(_), .. } => &[&[Input(0), Input(1), Input(5)]],
            Kernel::BnBackwardReduce { .. } | Kernel::GroupBackwardReduce { .. } => &[&[Input(0), Input(1)]],
            Kernel::BnBackwardApply { epilogue, .. } => norm_gradient(result(epilogue), residual(epilogue)),
            Kernel::GroupBackwardApply { epilogue, .. } => {
                norm_gradient(epilogue.act.is_some(), residual(epilogue))
            }
            // Gates are few numbers, and their gradients long sums: they stay `f32`.
            Kernel::Mul { gate: true, epilogue, .. } if residual(epilogue) => {
                &[&[Input(0), Input(2), Output(0)]]
            }
            Kernel::Mul { epilogue, .. } if residual(epilogue) => {
                &[&[Input(0), Input(1), Input(2), Output(0)]]
            }
            Kernel::Mul { gate: false, .. } | Kernel::Add { .. } | Kernel::ActivateBackward { .. } => {
                &[&[Input(0), Input(1), Output(0)]]
            }
            Kernel::MulBackward { gate: true, epilogue, .. } => {
                match (epilogue.act.is_some(), residual(epilogue)) {
                    (true, true) => &[&[Input(0), Input(1), Input(3), Output(0), Output(2)]],
                    (true, false) => &[&[Input(0), Input(1), Input(3), Output(0)]],
                    (false, true) => &[&[Input(0), Input(1), Output(0), Output(2)]],
                    (false, false) => &[&[Input(0), Input(1), Output(0)]],
                }
            }
            Kernel::MulBackward { epilogue, .. } => match (epilogue.act.is_some(), residual(epilogue)) {
                (true, true) => &[&[Input(0), Input(1), Input(2), Input(3), Output(0), Output(1), Output(2)]],
                (true, false) => &[&[Input(0), Input(1), Input(2), Input(3), Output(0), Output(1)]],
                (false, true) => &[&[Input(0), Input(1), Input(2), Output(0), Output(1), Output(2)]],
                (false, false) => &[&[Input(0), Input(1), Input(2), Output(0), Output(1)]],
            },
            Kernel::BnApply { .. }
            | Kernel::GroupApply { .. }
            | Kernel::Affine { .. }
            | Kernel::Mul { .. }
            | Kernel::Activate { .. }
            | Kernel::ScaleShift { .. }
            | Kernel::Drop { .. }
            | Kernel::MaxPool { .. }
            | Kernel::MaxPoolBackward { .. }
            | Kernel::AvgPool { .. }
            | Kernel::AvgPoolBackward { .. }
            | Kernel::BlurPool(_)
            | Kernel::BlurPoolBackward(_)
            | Kernel::PadShortcut(_)
            | Kernel::PadShortcutBackward(_) => &[&[Input(0), Output(0)]],
            Kernel::ChannelSum { .. }
            | Kernel::BnStats { .. }
            | Kernel::GroupStats { .. }
            | Kernel::GlobalAvgPool { .. }
            | Kernel::GlobalMaxPool { .. } => &[&[Input(0)]],
            Kernel::GlobalAvgPoolBackward { .. } | Kernel::GlobalMaxPoolBackward { .. } => &[&[Output(0)]],
            // As many parts as there may be.
            Kernel::Concat { .. } | Kernel::ChannelSlice { .. } => &[],
            Kernel::Softmax { .. }
            | Kernel::CrossEntropy { .. }
            | Kernel::CrossEntropyBackward { .. }
            | Kernel::SgdUpdate { .. } => &[],
        }
    }
}

/// The maps of a normalisation's gradient, which reads its result if that undoes the activation.
fn norm_gradient(result: bool, residual: bool) -> &'static [&'static [Operand]] {
    use Operand::{Input, Output};
    match (result, residual) {
        (true, true) => &[&[Input(0), Input(1), Input(7), Output(0), Output(1)]],
        (true, false) => &[&[Input(0), Input(1), Input(7), Output(0)]],
        (false, true) => &[&[Input(0), Input(1), Output(0), Output(1)]],
        (false, false) => &[&[Input(0), Input(1), Output(0)]],
    }
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
