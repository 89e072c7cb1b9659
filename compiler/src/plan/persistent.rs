//! Memory that outlives a run: parameters, their gradients and velocities, running statistics.
//!
//! Parameters with the same update constants lie side by side, so that one step over a spanning buffer updates them
//! all. The layout depends on the parameters alone, not on the batch: all training plans of a network agree on it.

use std::collections::HashMap;

use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{Op, SgdAttrs};
use crate::ir::types::{DType, TensorType};

use super::arena::align;
use super::{Buffer, BufferId, Kernel, Plan, Region, Slot, Step};

/// Parameters updated by the same constants, side by side in [`Region::Params`].
struct Group {
    sgd: SgdAttrs,
    /// Bytes from the region's start, padding behind the last parameter left out.
    range: (usize, usize),
}

/// Where the persistent tensors lie.
pub(super) struct Persistent {
    groups: Vec<Group>,
    /// Parameter's offset of each gradient.
    gradients: HashMap<Value, usize>,
}

impl Persistent {
    /// Places every parameter and running statistic of the graph: fills the plan's slots, their buffers and the
    /// regions' sizes, and `values` with the buffers.
    pub(super) fn place(graph: &Graph, plan: &mut Plan, values: &mut HashMap<Value, BufferId>) -> Persistent {
        let updates = updates(graph);
        let mut constants: Vec<SgdAttrs> = Vec::new();
        for (sgd, _) in graph.ids().filter_map(|id| updates.get(&Value::from(id))) {
            if !constants.contains(sgd) {
                constants.push(*sgd);
            }
        }
        let group_of = |id: NodeId| {
            let sgd = updates.get(&Value::from(id)).map(|(sgd, _)| sgd);
            constants.iter().position(|c| Some(c) == sgd).unwrap_or(constants.len())
        };
        let mut offsets = HashMap::new();
        let mut groups = Vec::new();
        for group in 0..=constants.len() {
            let start = plan.sizes.params;
            let mut end = start;
            for id in trained(graph).filter(|&id| group_of(id) == group) {
                offsets.insert(id, plan.sizes.params);
                end = plan.sizes.params + bytes(graph, id);
                plan.sizes.params = align(end);
            }
            if let Some(&sgd) = constants.get(group) {
                groups.push(Group { sgd, range: (start, end) });
            }
        }
        add_slots(graph, plan, values, &offsets);
        let gradients = updates.iter().map(|(param, (_, grad))| (*grad, offsets[&param.node])).collect();
        Persistent { groups, gradients }
    }

    /// Where a parameter's gradient lies in [`Region::Grads`]; `None` for other values.
    pub(super) fn gradient(&self, value: Value) -> Option<usize> {
        self.gradients.get(&value).copied()
    }

    /// Adds one update per group, over buffers that span it.
    pub(super) fn add_updates(&self, plan: &mut Plan) {
        for (index, Group { sgd, range }) in self.groups.iter().enumerate() {
            let name = format!("update{index}");
            let len = (range.1 - range.0) / DType::F32.size();
            let regions =
                [(Region::Params, "params"), (Region::Grads, "grads"), (Region::Velocity, "velocity")];
            let inputs = regions.map(|(region, part)| {
                let ty = TensorType::f32([len]);
                plan.add_buffer(format!("{name}.{part}"), &ty, region, range.0)
            });
            let kernel = Kernel::SgdUpdate { len, sgd: *sgd };
            plan.steps.push(Step { name, kernel, inputs: inputs.to_vec(), outputs: Vec::new() });
        }
    }
}

impl Plan {
    /// Adds a buffer of a type; the planner fills in lifetimes and offsets of the arena's later.
    pub(super) fn add_buffer(
        &mut self,
        name: String,
        ty: &TensorType,
        region: Region,
        offset: usize,
    ) -> BufferId {
        let id = BufferId(u32::try_from(self.buffers.len()).expect("a plan has fewer than 2^32 buffers"));
        self.buffers.push(Buffer {
            name,
            shape: ty.shape.clone(),
            dtype: ty.dtype,
            layout: ty.layout,
            region,
            offset,
            bytes: ty.bytes().expect("the verifier bounds sizes"),
            live: None,
            slice: None,
        });
        id
    }
}

/// `param -> (constants, gradient)` of every update.
fn updates(graph: &Graph) -> HashMap<Value, (SgdAttrs, Value)> {
    let mut updates = HashMap::new();
    for id in graph.ids() {
        if let Op::SgdUpdate { sgd } = graph.node(id).op {
            let [param, grad] = graph.operands(id)[..] else { panic!("an update has two operands") };
            assert_eq!(
                graph.value_type(param),
                graph.value_type(grad),
                "{}: a gradient has its parameter's type",
                graph.node(id).name
            );
            let previous = updates.insert(param, (sgd, grad));
            assert!(previous.is_none(), "{}: updated twice", graph.node(param.node).name);
        }
    }
    updates
}

/// The trained parameters in the graph's order.
fn trained(graph: &Graph) -> impl Iterator<Item = NodeId> + '_ {
    graph.ids().filter(|&id| matches!(&graph.node(id).op, Op::Param { role, .. } if role.trained()))
}

fn bytes(graph: &Graph, id: NodeId) -> usize {
    graph.node(id).types[0].bytes().expect("the verifier bounds sizes")
}

/// Slots and buffers of all persistent tensors, in the graph's order; running statistics are placed on the way.
fn add_slots(
    graph: &Graph,
    plan: &mut Plan,
    values: &mut HashMap<Value, BufferId>,
    offsets: &HashMap<NodeId, usize>,
) {
    for id in graph.ids() {
        let node = graph.node(id);
        if let Op::Param { role, init, recipe, .. } = &node.op {
            let (region, offset) = match offsets.get(&id) {
                Some(&offset) => (Region::Params, offset),
                None => (Region::State, plan.sizes.state),
            };
            let buffer = plan.add_buffer(node.name.clone(), &node.types[0], region, offset);
            if region == Region::State {
                plan.sizes.state = align(offset + plan.buffer(buffer).bytes);
            }
            values.insert(id.into(), buffer);
            plan.slots.push(Slot { buffer, role: *role, init: *init, recipe: recipe.clone() });
        }
    }
}
