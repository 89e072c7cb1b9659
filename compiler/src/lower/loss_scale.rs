//! The memory and the steps of a scaled loss, besides those that apply the scale.

use crate::ir::init::Init;
use crate::ir::loss_scale::{DynamicScale, LossScale};
use crate::ir::persistent::{Recipe, Role};
use crate::ir::types::{DType, TensorType};
use crate::plan::kernel::{AllFinite, LossScaleUpdate};
use crate::plan::{BufferId, Kernel, LOSS_SCALE, Plan, Region, Slot, Step, align};

/// A scaled loss: where its state lies, in [`Region::State`].
pub(super) struct Scaling {
    /// The factor of the loss.
    pub scale: BufferId,
    /// Steps that were left out.
    pub skipped: BufferId,
    /// How the scale changes, and the steps since it last did.
    dynamic: Option<(DynamicScale, BufferId)>,
}

impl Scaling {
    /// Adds the slots, behind all others.
    pub fn place(scale: LossScale, plan: &mut Plan) -> Self {
        let role = if scale.dynamic().is_some() { Role::LossScale } else { Role::StaticLossScale };
        let first = scale.start();
        let scaling = Scaling {
            // Not `scale`: readers of weights take that for an older name of a normalisation's tensor.
            scale: add_slot(plan, "value", role, first),
            skipped: add_slot(plan, "skipped_steps", Role::SkippedSteps, 0.0),
            dynamic: None,
        };
        let good_steps = |dynamic| (dynamic, add_slot(plan, "good_steps", Role::GoodSteps, 0.0));
        Scaling { dynamic: scale.dynamic().map(good_steps), ..scaling }
    }

    /// Adds the step that looks whether all gradients are finite, those of the first `bytes` of their region; returns the flag.
    pub fn add_check(&self, plan: &mut Plan, bytes: usize) -> BufferId {
        let len = bytes / DType::F32.size();
        let grads = plan.add_buffer("all_finite.grads".to_owned(), &TensorType::f32([len]), Region::Grads, 0);
        let flag = TensorType { dtype: DType::U32, ..TensorType::f32([]) };
        let finite = plan.add_buffer("all_finite".to_owned(), &flag, Region::Arena, 0);
        add_step(plan, "all_finite", AllFinite { len }, vec![grads], vec![finite]);
        finite
    }

    /// Adds the step that finds the next scale and counts.
    pub fn add_update(&self, plan: &mut Plan, finite: BufferId) {
        let mut inputs = vec![finite, self.skipped];
        inputs.extend(self.dynamic.iter().flat_map(|&(_, good_steps)| [self.scale, good_steps]));
        let kernel = LossScaleUpdate { dynamic: self.dynamic.map(|(dynamic, _)| dynamic) };
        add_step(plan, "loss_scale", kernel, inputs, Vec::new());
    }
}

fn add_step(
    plan: &mut Plan,
    name: &str,
    kernel: impl Into<Kernel>,
    inputs: Vec<BufferId>,
    outputs: Vec<BufferId>,
) {
    plan.steps.push(Step { name: name.to_owned(), kernel: kernel.into(), inputs, outputs });
}

/// Adds a scalar with a first value.
fn add_slot(plan: &mut Plan, name: &str, role: Role, first: f32) -> BufferId {
    let offset = plan.sizes.state;
    let buffer = plan.add_buffer(format!("{LOSS_SCALE}{name}"), &TensorType::f32([]), Region::State, offset);
    plan.sizes.state = align(offset + DType::F32.size(), plan.align);
    plan.slots.push(Slot { buffer, role, init: Init::Constant(first), recipe: Recipe::Own, state: None });
    buffer
}
