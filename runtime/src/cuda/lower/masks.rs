//! Gradients of ReLUs that convolutions apply to what they write, so that the normalisation's gradient behind them needs no mask.
//!
//! That serves where the mask is a map of its own, the ReLU's result, as a shortcut was added before it: the two passes behind do not
//! read it then. Elsewhere the sign is computed anew from what they read anyway.

use std::collections::{BTreeMap, BTreeSet};

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::plan::kernel::{BnBackwardApply, BnBackwardReduce};
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Step};

/// A gradient that a normalisation's gradient masks.
#[derive(Clone, Copy)]
pub(super) struct Masked<'p> {
    /// The ReLU's result.
    pub mask: BufferId,
    /// The first pass over the gradient.
    pub reduce: (&'p Step, &'p BnBackwardReduce),
    /// The second one.
    pub apply: (&'p Step, &'p BnBackwardApply),
}

/// Those of a plan.
#[derive(Default)]
pub(super) struct Masks<'p> {
    /// By the gradient.
    of: BTreeMap<BufferId, Masked<'p>>,
    /// Gradients that are lowered, and whose convolutions have masked them.
    applied: BTreeSet<BufferId>,
}

impl<'p> Masks<'p> {
    /// Of all gradients that convolutions write and nobody reads but one normalisation's gradient.
    pub fn of(plan: &'p Plan) -> Self {
        let mut readers: BTreeMap<BufferId, Vec<&Step>> = BTreeMap::new();
        for step in &plan.steps {
            step.inputs.iter().for_each(|&id| readers.entry(id).or_default().push(step));
        }
        let mut written: BTreeSet<BufferId> = BTreeSet::new();
        let mut masks = Masks::default();
        for step in &plan.steps {
            if let (Kernel::ConvBackwardData(_), Some(&dx)) = (&step.kernel, step.outputs.first()) {
                let masked = readers.get(&dx).and_then(|readers| masked(plan, dx, readers));
                // It is not there yet where it is computed again behind this step.
                masks.of.extend(masked.filter(|masked| written.contains(&masked.mask)).map(|m| (dx, m)));
            }
            written.extend(&step.outputs);
        }
        masks
    }

    /// What masks a gradient.
    pub fn wanted(&self, gradient: BufferId) -> Option<Masked<'p>> {
        self.of.get(&gradient).copied()
    }

    /// Whether a convolution has masked a gradient.
    pub fn has_applied(&self, gradient: BufferId) -> bool {
        self.applied.contains(&gradient)
    }

    /// Takes down that a convolution masks the gradient that it writes.
    pub fn apply(&mut self, gradient: BufferId) {
        self.applied.insert(gradient);
    }
}

/// What masks a gradient with these readers.
fn masked<'p>(plan: &Plan, gradient: BufferId, readers: &[&'p Step]) -> Option<Masked<'p>> {
    let &[first, second] = readers else { return None };
    let (Kernel::BnBackwardReduce(reduce), Kernel::BnBackwardApply(apply)) = (&first.kernel, &second.kernel)
    else {
        return None;
    };
    let mask = operand(first, "y")?;
    let relu =
        [reduce.epilogue, apply.epilogue].iter().all(|epilogue| epilogue.act == Some(Activation::Relu));
    let is_the_gradient = [first, second].iter().all(|step| operand(step, "dy") == Some(gradient));
    let [a, b] = [gradient, mask].map(|id| plan.buffer(id));
    let alike = a.dtype == b.dtype && plan.gap(gradient) == 0 && plan.gap(mask) == 0;
    let fits = relu && is_the_gradient && alike && operand(second, "y") == Some(mask);
    fits.then_some(Masked { mask, reduce: (first, reduce), apply: (second, apply) })
}

fn operand(step: &Step, name: &str) -> Option<BufferId> {
    let operands = step.operands();
    let named = operands.all().zip(step.buffers()).find(|(operand, _)| operand.name == name);
    named.map(|(_, id)| id)
}
