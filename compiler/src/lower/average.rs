//! The memory and the steps of an average of the weights over updates: of parameters among the optimizer's tensors, of running
//! statistics beside them.

use crate::ir::init::Init;
use crate::ir::persistent::{Recipe, Role};
use crate::ir::types::{DType, TensorType};
use crate::plan::kernel::Average;
use crate::plan::{AVERAGE, Buffer, BufferId, Plan, Region, Shard, Slot, Step};

/// Where the averages lie.
pub(super) struct Averaging {
    /// Number of the parameters' among the optimizer's tensors.
    tensor: u8,
    /// Bytes of all running statistics, with padding; their averages follow them.
    statistics: usize,
}

impl Averaging {
    /// Adds the tensor of the parameters, and a slot for each running statistic. Statistics fill their region so far.
    pub fn place(plan: &mut Plan) -> Self {
        let averaging = Averaging { tensor: plan.optimizer.len() as u8, statistics: plan.sizes.state };
        plan.optimizer.push(AVERAGE.to_owned());
        let slots = plan.slots.iter().map(|slot| plan.buffer(slot.buffer));
        let statistics: Vec<Buffer> = slots.filter(|b| b.region == Region::State).cloned().collect();
        for statistic in statistics {
            let (name, offset) =
                (format!("{AVERAGE}.{}", statistic.name), averaging.statistics + statistic.offset);
            let ty = TensorType { layout: statistic.layout, ..TensorType::f32(statistic.shape) };
            let buffer = plan.add_buffer(name, &ty, Region::State, offset);
            let (role, init, recipe) = (Role::Average, Init::Constant(0.0), Recipe::Own);
            plan.slots.push(Slot { buffer, role, init, recipe, state: None });
        }
        plan.sizes.state = 2 * averaging.statistics;
        averaging
    }

    /// Adds the steps behind the updates: of the first `params` bytes of the parameters, and of all statistics.
    pub fn add_steps(&self, plan: &mut Plan, params: Option<usize>) {
        if let Some(bytes) = params {
            let places = [(Region::Optimizer(self.tensor), 0), (Region::Params, 0)];
            add(plan, "average.params", bytes, Some(self.tensor), places);
        }
        if self.statistics > 0 {
            let statistics = [(Region::State, self.statistics), (Region::State, 0)];
            add(plan, "average.statistics", self.statistics, None, statistics);
        }
    }

    /// Adds the step behind the update of a rank's part of a span, whose new parameters are `params`.
    pub fn add_part(&self, plan: &mut Plan, update: &str, params: BufferId, shard: &Shard) {
        let (name, len) = (format!("average.{update}"), shard.bytes / DType::F32.size());
        let region = Region::Optimizer(self.tensor);
        let average =
            plan.add_buffer(format!("{name}.average"), &TensorType::f32([len]), region, shard.state);
        let inputs = vec![average, params, plan.decay()];
        let kernel = Average { len, tensor: Some(self.tensor) }.into();
        plan.steps.push(Step { name, kernel, inputs, outputs: Vec::new() });
    }
}

/// Adds one step over buffers that span many tensors.
fn add(plan: &mut Plan, name: &str, bytes: usize, tensor: Option<u8>, places: [(Region, usize); 2]) {
    let len = bytes / DType::F32.size();
    let mut inputs: Vec<BufferId> = Vec::new();
    for ((region, offset), part) in places.into_iter().zip(["average", "value"]) {
        inputs.push(plan.add_buffer(format!("{name}.{part}"), &TensorType::f32([len]), region, offset));
    }
    inputs.push(plan.decay());
    let kernel = Average { len, tensor }.into();
    plan.steps.push(Step { name: name.to_owned(), kernel, inputs, outputs: Vec::new() });
}
