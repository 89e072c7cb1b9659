//! Memory that outlives a run: parameters, their gradients, the optimizer's state, running statistics.
//!
//! Parameters with the same update constants lie side by side, so that one step over a spanning buffer updates them
//! all. The layout depends on the parameters alone, not on the batch: all training plans of a network agree on it.

use std::collections::HashMap;

use super::average::Averaging;
use super::loss_scale::Scaling;
use super::shards::{self, Gathers};
use crate::ir::clip::Clip;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{self, Op, UpdateRule};
use crate::ir::step_kind::StepKind;
use crate::ir::types::{DType, Layout, TensorType};
use crate::ir::update::Matrix;

use crate::plan::kernel::{AccumulateGradients, ClipGradients, Update};
use crate::plan::{BufferId, GRADIENT_SUM, Plan, Region, Shard, Slot, Step, align};

/// What an update does.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Constants {
    rule: UpdateRule,
    lr_scale: f32,
    /// The parameter, of a rule that depends on its norms.
    alone: Option<NodeId>,
    /// How it lies in memory, of a rule that asks for it.
    matrix: Option<Matrix>,
}

/// Parameters updated by the same constants, side by side in [`Region::Params`].
struct Group {
    name: String,
    constants: Constants,
    /// Bytes from the region's start, padding behind the last parameter left out.
    range: (usize, usize),
    /// Where each rank has the state of a part of them alone.
    shard: Option<Shard>,
}

impl Group {
    /// The buffer of the elements that are updated, in one of the regions that are laid out as the parameters are.
    fn buffer(&self, plan: &mut Plan, part: &str, region: Region) -> BufferId {
        let name = format!("{}.{part}", self.name);
        let ty = TensorType::f32([self.len()]);
        match (&self.shard, region) {
            (Some(shard), Region::Optimizer(_)) => plan.add_buffer(name, &ty, region, shard.state),
            (Some(shard), _) => plan.add_part(name, region, shard),
            (None, _) => plan.add_buffer(name, &ty, region, self.range.0),
        }
    }

    /// Elements that an update of it covers.
    fn len(&self) -> usize {
        let bytes = self.shard.map_or(self.range.1 - self.range.0, |shard| shard.bytes);
        bytes / DType::F32.size()
    }
}

/// Where the persistent tensors lie.
pub(super) struct Persistent {
    groups: Vec<Group>,
    /// Parameter's offset of each gradient.
    gradients: HashMap<Value, usize>,
    /// Of a scaled loss.
    loss_scale: Option<Scaling>,
    /// What is done to all gradients before the updates.
    clip: Vec<Clip>,
    /// What the step is for.
    step: StepKind,
    /// Whether gradients of several batches are summed.
    accumulates: bool,
    /// Of a training that averages its weights.
    average: Option<Averaging>,
}

impl Persistent {
    /// Places every parameter and running statistic of the graph: fills the plan's slots, their buffers and the
    /// regions' sizes, and `values` with the buffers.
    pub(super) fn place(graph: &Graph, plan: &mut Plan, values: &mut HashMap<Value, BufferId>) -> Persistent {
        let updates = updates(graph);
        let mut constants: Vec<Constants> = Vec::new();
        for (found, _) in graph.ids().filter_map(|id| updates.get(&Value::from(id))) {
            if !constants.contains(found) {
                constants.push(*found);
            }
        }
        plan.optimizer = state_of(&constants, graph.accumulates);
        let group_of = |id: NodeId| {
            let own = updates.get(&Value::from(id)).map(|(constants, _)| constants);
            constants.iter().position(|c| Some(c) == own).unwrap_or(constants.len())
        };
        let mut offsets = HashMap::new();
        let mut groups = Vec::new();
        for group in 0..=constants.len() {
            let start = plan.sizes.params;
            let mut end = start;
            for id in trained(graph).filter(|&id| group_of(id) == group) {
                offsets.insert(id, plan.sizes.params);
                end = plan.sizes.params + bytes(graph, id);
                plan.sizes.params = align(end, plan.align);
            }
            if group == constants.len() && !constants.is_empty() {
                plan.sizes.frozen = plan.sizes.params - start;
            }
            if let Some(&constants) = constants.get(group) {
                let alone = constants.alone.map(|id| format!("update.{}", graph.node(id).name));
                let name = alone.unwrap_or_else(|| format!("update{group}"));
                groups.push(Group { name, constants, range: (start, end), shard: None });
            }
        }
        if let Some(ranks) = graph.ranks.filter(|ranks| ranks.shard_optimizer) {
            groups = cut(groups, ranks.count, plan);
        }
        add_slots(graph, plan, values, &offsets, &own_states(&updates));
        let gradients = updates.iter().map(|(param, (_, grad))| (*grad, offsets[&param.node])).collect();
        let average = (graph.average && !constants.is_empty()).then(|| Averaging::place(plan));
        let loss_scale = graph.loss_scale.map(|scale| Scaling::place(scale, plan));
        let (clip, step, accumulates) = (graph.clip.clone(), graph.step, graph.accumulates);
        Persistent { groups, gradients, loss_scale, clip, step, accumulates, average }
    }

    /// The buffer of the loss' factor.
    pub(super) fn loss_scale(&self) -> Option<BufferId> {
        self.loss_scale.as_ref().map(|scaling| scaling.scale)
    }

    /// Where the parameters' gradients lie in [`Region::Grads`].
    pub(super) fn gradients(&self) -> &HashMap<Value, usize> {
        &self.gradients
    }

    /// Adds what is done with the gradients: they are summed where several batches make one update, and the last of these has one
    /// update per group, over buffers that span it. Those of a scaled loss stand between the step that looks whether all
    /// gradients are finite, and the one that finds the next scale.
    pub(super) fn add_updates(&self, plan: &mut Plan) {
        let end = self.groups.iter().map(|group| group.range.1).max();
        if let Some(end) = end.filter(|_| self.accumulates && self.step.has_backward()) {
            self.add_sum(plan, end);
        }
        if self.step != StepKind::Update {
            return;
        }
        let scaling = self.loss_scale.as_ref().zip(end);
        let scaled = scaling.map(|(scaling, end)| (scaling, scaling.add_check(plan, end)));
        if let Some(end) = end {
            self.add_clips(plan, end, scaled.map(|(scaling, _)| scaling.scale));
        }
        self.add_rules(plan, scaled.map(|(scaling, finite)| [scaling.scale, finite, scaling.skipped]));
        if let Some((scaling, finite)) = scaled {
            scaling.add_update(plan, finite);
        }
        if let Some((average, end)) = self.average.as_ref().zip(end) {
            // Of parts, each has its own step.
            let whole = plan.shards.is_empty().then_some(end);
            average.add_steps(plan, whole);
        }
    }

    /// Adds what sums the gradients over batches, those of the first `bytes` of their region.
    fn add_sum(&self, plan: &mut Plan, bytes: usize) {
        let len = bytes / DType::F32.size();
        let sum = plan.optimizer.iter().position(|name| name == GRADIENT_SUM).expect("placed with the sum");
        let (ty, tensor) = (TensorType::f32([len]), sum as u8);
        let grads = plan.add_buffer("accumulate.grads".to_owned(), &ty, Region::Grads, 0);
        let sum = plan.add_buffer(format!("accumulate.{GRADIENT_SUM}"), &ty, Region::Optimizer(tensor), 0);
        let inputs = vec![grads, sum, plan.share()];
        let kernel = AccumulateGradients { len, tensor, last: self.step == StepKind::Update }.into();
        plan.steps.push(Step { name: "accumulate".to_owned(), kernel, inputs, outputs: Vec::new() });
    }

    /// Adds what clips the gradients, those of the first `bytes` of their region.
    fn add_clips(&self, plan: &mut Plan, bytes: usize, scale: Option<BufferId>) {
        let len = bytes / DType::F32.size();
        for &by in &self.clip {
            let name = format!("clip.{}", by.word());
            let ty = TensorType::f32([len]);
            let grads = plan.add_buffer(format!("{name}.grads"), &ty, Region::Grads, 0);
            let inputs = [grads].into_iter().chain(scale).collect();
            let kernel = ClipGradients { len, by, scaled: scale.is_some() }.into();
            plan.steps.push(Step { name, kernel, inputs, outputs: Vec::new() });
        }
    }

    /// Adds the updates themselves; `scaled` is what those of a scaled loss read besides.
    fn add_rules(&self, plan: &mut Plan, scaled: Option<[BufferId; 3]>) {
        let mut gathers = Gathers::default();
        for group in &self.groups {
            let Constants { rule, lr_scale, matrix, .. } = group.constants;
            let state = (0..).map(Region::Optimizer).zip(rule.state().iter().copied());
            let spans = [(Region::Params, "params"), (Region::Grads, "grads")].into_iter().chain(state);
            let mut inputs: Vec<BufferId> =
                spans.map(|(region, part)| group.buffer(plan, part, region)).collect();
            let params = inputs[0];
            let rate = plan.rate();
            let number = if self.accumulates { plan.update_number() } else { plan.step_number() };
            inputs.extend([rate, number]);
            inputs.extend(scaled.iter().flatten());
            plan.steps.push(Step {
                name: group.name.clone(),
                kernel: Update { len: group.len(), rule, lr_scale, matrix, scaled: scaled.is_some() }.into(),
                inputs,
                outputs: Vec::new(),
            });
            if let Some(shard) = &group.shard {
                if let Some(average) = &self.average {
                    average.add_part(plan, &group.name, params, shard);
                }
                gathers.begin(plan, &group.name, shard);
            }
        }
        gathers.finish(plan);
    }
}

/// Cuts groups into spans, and their state over so many ranks. Gradients are there from the last parameter on, so that is where a group's
/// updates begin.
fn cut(groups: Vec<Group>, ranks: usize, plan: &mut Plan) -> Vec<Group> {
    let end = groups.iter().map(|group| group.range.1).max().unwrap_or(0);
    let mut pieces = Vec::new();
    for group in groups {
        let range = group.range.0..align(group.range.1, plan.align);
        let spans = shards::spans(range, end, ranks, plan.align);
        let count = spans.len();
        let start = pieces.len();
        for (index, span) in spans.into_iter().enumerate() {
            let shard = plan.add_shard(span.clone(), ranks);
            let name = if count == 1 { group.name.clone() } else { format!("{}.{index}", group.name) };
            let range = (span.start, span.end.min(group.range.1));
            pieces.push(Group { name, constants: group.constants, range, shard: Some(shard) });
        }
        pieces[start..].reverse();
    }
    pieces
}

/// Names of the state's tensors, and of the sum of gradients where there is one. Tensors of the same number share a region, also where
/// rules differ: it then has all of their names.
fn state_of(constants: &[Constants], accumulates: bool) -> Vec<String> {
    let mut names: Vec<Vec<&str>> = Vec::new();
    for rule in constants.iter().map(|constants| constants.rule) {
        names.resize(names.len().max(rule.state().len()), Vec::new());
        for (known, &name) in names.iter_mut().zip(rule.state()) {
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }
    let sum = (accumulates && !constants.is_empty()).then(|| GRADIENT_SUM.to_owned());
    names.iter().map(|names| names.join("|")).chain(sum).collect()
}

/// Names of each parameter's tensors of state; none where all have the same.
fn own_states(updates: &HashMap<Value, (Constants, Value)>) -> HashMap<NodeId, Vec<String>> {
    let state = |constants: &Constants| constants.rule.state();
    let mut all = updates.values().map(|(constants, _)| state(constants));
    let first = all.next();
    if all.all(|other| Some(other) == first) {
        return HashMap::new();
    }
    let names = |constants| state(constants).iter().map(|&name| name.to_owned()).collect();
    updates.iter().map(|(param, (constants, _))| (param.node, names(constants))).collect()
}

/// A filter as its layout has it.
fn matrix(ty: &TensorType) -> Matrix {
    let numel = ty.shape.numel().expect("the verifier has checked shapes");
    let out = ty.shape.0.first().copied().unwrap_or(1).max(1);
    let outputs_are_rows = ty.layout != Layout::Hwio;
    let [rows, cols] = if outputs_are_rows { [out, numel / out] } else { [numel / out, out] };
    Matrix { rows, cols, outputs_are_rows }
}

/// `param -> (constants, gradient)` of every update.
fn updates(graph: &Graph) -> HashMap<Value, (Constants, Value)> {
    let mut updates = HashMap::new();
    for id in graph.ids() {
        if let Op::Update(op::Update { rule, lr_scale }) = graph.node(id).op {
            let [param, grad] = graph.operands(id)[..] else { panic!("an update has two operands") };
            assert_eq!(
                graph.value_type(param),
                graph.value_type(grad),
                "{}: a gradient has its parameter's type",
                graph.node(id).name
            );
            let alone = rule.per_tensor().then_some(param.node);
            let matrix =
                rule.takes_matrix().then(|| matrix(graph.value_type(param).expect("a parameter has a type")));
            let previous = updates.insert(param, (Constants { rule, lr_scale, alone, matrix }, grad));
            assert!(previous.is_none(), "{}: updated twice", graph.node(param.node).name);
        }
    }
    updates
}

/// The trained parameters in the graph's order.
fn trained(graph: &Graph) -> impl Iterator<Item = NodeId> + '_ {
    graph.ids().filter(|&id| matches!(&graph.node(id).op, Op::Param(param) if param.role.trained()))
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
    states: &HashMap<NodeId, Vec<String>>,
) {
    for id in graph.ids() {
        let node = graph.node(id);
        if let Op::Param(op::Param { role, init, recipe, .. }) = &node.op {
            let (region, offset) = match offsets.get(&id) {
                Some(&offset) => (Region::Params, offset),
                None => (Region::State, plan.sizes.state),
            };
            let buffer = plan.add_buffer(node.name.clone(), &node.types[0], region, offset);
            if region == Region::State {
                plan.sizes.state = align(offset + plan.buffer(buffer).bytes, plan.align);
            }
            values.insert(id.into(), buffer);
            plan.slots.push(Slot {
                buffer,
                role: *role,
                init: *init,
                recipe: recipe.clone(),
                state: states.get(&id).cloned(),
            });
        }
    }
}
