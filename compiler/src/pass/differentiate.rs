//! Training: adds the gradients of the loss by every parameter, by reverse accumulation, and an update per parameter.
//!
//! Names: `grad.<node>` is the gradient of a node's first result. Where several users contribute, each contribution is
//! `grad.<node>.via.<user>` (further ones by the same user `...via.<user>.1` and so on) and `grad.<node>` their sum
//! (`grad.<node>.sum1` and so on in between). A gradient that is another one unchanged has no node of its own.
//!
//! Frozen parameters have neither; of a layer behind which nothing is trained there is no backward pass at all.

use std::collections::{HashMap, HashSet};

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::groups::{self, Groups, Parameter, Treatment};
use crate::ir::op::{Add, BatchNorm, Op, Param, Role, Update, UpdateRule};
use crate::ir::origin::Origin;
use crate::ir::patch::Patch;
use crate::ops::{self, Vjp};

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let loss = graph.output("loss").expect("the verifier has checked that training has a loss");
    let treatments = treatments(graph, &context.groups);
    let mut sweep = Sweep::new(graph, loss, &treatments);
    let mut mistakes = Vec::new();
    let order: Vec<NodeId> = graph.ids().collect();
    for &id in order.iter().rev() {
        if let Err(reason) = sweep.visit(id) {
            let node = graph.node(id);
            mistakes.push(Diagnostic::error(format!("`{}`: {reason}", node.name), node.span, "here"));
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let filters = context.optimizer.takes_matrix().then(|| inner_filters(graph));
    if let Some(filters) = &filters {
        let updates = |id: &NodeId| filters.contains(id) && sweep.gradients[id.index()].is_some();
        if !order.iter().any(updates) {
            return Err(vec![no_filters(context)]);
        }
    }
    for id in order {
        sweep.update(id, context, &treatments, filters.as_ref());
        sweep.still(id);
    }
    Ok(sweep.patch)
}

/// Reverse accumulation under way. Tables are indexed by node.
struct Sweep<'a> {
    graph: &'a Graph,
    patch: Patch,
    loss: Value,
    /// Whether a trained parameter lies behind the node.
    trained: Vec<bool>,
    /// How many gradients the node's first result gets.
    expected: Vec<usize>,
    /// Those it has so far.
    contributions: Vec<Vec<Value>>,
    /// Their sum, once all have come.
    gradients: Vec<Option<Value>>,
}

impl<'a> Sweep<'a> {
    fn new(graph: &'a Graph, loss: Value, treatments: &HashMap<NodeId, Treatment>) -> Self {
        let bound = graph.bound();
        let mut trained = vec![false; bound];
        for id in graph.ids() {
            let own = treatments.get(&id).is_some_and(|treatment| !treatment.frozen);
            trained[id.index()] = own || graph.operands(id).iter().any(|v| trained[v.node.index()]);
        }
        let mut reaches_loss = vec![false; bound];
        let mut expected = vec![0; bound];
        reaches_loss[loss.node.index()] = true;
        let order: Vec<NodeId> = graph.ids().collect();
        for &id in order.iter().rev().filter(|id| trained[id.index()]) {
            if !reaches_loss[id.index()] {
                continue;
            }
            for operand in graph.operands(id) {
                reaches_loss[operand.node.index()] = true;
                expected[operand.node.index()] += usize::from(trained[operand.node.index()]);
            }
        }
        let (contributions, gradients) = (vec![Vec::new(); bound], vec![None; bound]);
        Sweep { graph, patch: Patch::new(graph), loss, trained, expected, contributions, gradients }
    }

    /// Sums up a node's gradient and hands it on to the operands. All users have been visited.
    fn visit(&mut self, id: NodeId) -> Result<(), ops::VjpError> {
        let is_loss = id == self.loss.node;
        let dy = self.sum(id);
        if !self.trained[id.index()] || (dy.is_none() && !is_loss) {
            return Ok(());
        }
        self.gradients[id.index()] = dy;
        let operands = self.graph.operands(id);
        let mut wanted: Vec<Option<(String, Origin)>> =
            operands.iter().map(|value| self.wanted(*value, id)).collect();
        // A value may be several operands of one node: each of its gradients has a name of its own.
        for i in 1..operands.len() {
            let before = operands[..i].iter().filter(|v| v.node == operands[i].node).count();
            if let Some((name, _)) = wanted[i].as_mut().filter(|_| before > 0) {
                *name += &format!(".{before}");
            }
        }
        let gradients = ops::vjp(Vjp::new(self.graph, &mut self.patch, id, dy, wanted))?;
        for (operand, gradient) in operands.iter().zip(gradients) {
            self.contributions[operand.node.index()].extend(gradient);
        }
        Ok(())
    }

    /// Name and origin of what `user` contributes to an operand's gradient; `None` where nobody wants it.
    fn wanted(&self, operand: Value, user: NodeId) -> Option<(String, Origin)> {
        if !self.trained[operand.node.index()] {
            return None;
        }
        let of = self.graph.node(operand.node).name.clone();
        let alone = self.expected[operand.node.index()] == 1;
        let via = (!alone).then(|| self.graph.node(user).name.clone());
        let suffix = via.as_ref().map_or(String::new(), |user| format!(".via.{user}"));
        Some((format!("grad.{of}{suffix}"), Origin::Gradient { of, via }))
    }

    /// The sum of all contributions to a node's gradient.
    fn sum(&mut self, id: NodeId) -> Option<Value> {
        let contributions = std::mem::take(&mut self.contributions[id.index()]);
        let node = self.graph.node(id);
        let last = contributions.len().saturating_sub(1);
        let mut contributions = contributions.into_iter();
        let mut sum = contributions.next()?;
        for (i, value) in (1..).zip(contributions) {
            let suffix = if i == last { String::new() } else { format!(".sum{i}") };
            let name = format!("grad.{}{suffix}", node.name);
            let origin = Origin::Gradient { of: node.name.clone(), via: None };
            sum = self.patch.add_as(origin, name, Add { act: None }, node, &[sum, value]).into();
        }
        Some(sum)
    }

    /// Adds the update of a parameter that has a gradient.
    fn update(
        &mut self,
        id: NodeId,
        context: &PassContext,
        treatments: &HashMap<NodeId, Treatment>,
        filters: Option<&HashSet<NodeId>>,
    ) {
        let node = self.graph.node(id);
        let Op::Param(Param { role, .. }) = node.op else { return };
        let Some(treatment) = treatments.get(&id) else { return };
        if treatment.frozen {
            self.patch.refused(node, "no update: it is frozen");
            return;
        }
        let Some(gradient) = self.gradients[id.index()] else {
            self.patch.refused(node, "no update: the loss does not depend on it");
            return;
        };
        let other = context.optimizer.for_others().filter(|_| filters.is_some_and(|of| !of.contains(&id)));
        let (of_role, rate) = other.unwrap_or((context.optimizer, context.lr));
        let share = if rate == context.lr { 1.0 } else { rate / context.lr };
        let rule = decayed(of_role, role, context.decay_norm, treatment);
        let op = Update { rule, lr_scale: treatment.lr_scale * share };
        let name = format!("update.{}", node.name);
        let origin = Origin::Update { of: node.name.clone() };
        self.patch.add_as(origin, name, op, node, &[id.into(), gradient]);
        self.patch.fired_silently(node, format!("gradient `{}`", self.gradient_name(gradient)));
    }

    /// A batch normalisation that nothing trained lies behind normalises by its running statistics, as in inference, and leaves
    /// them as they are.
    fn still(&mut self, id: NodeId) {
        if self.trained[id.index()] {
            return;
        }
        if let Op::BatchNorm(norm) = &self.graph.node(id).op {
            let norm = BatchNorm { still: true, ..norm.clone() };
            self.patch.replace(id, norm, &self.graph.operands(id));
            self.patch.fired_silently(self.graph.node(id), "frozen: normalises by its running statistics");
        }
    }

    fn gradient_name(&self, gradient: Value) -> String {
        let name = self.patch.name(self.graph, gradient.node);
        if gradient.port == 0 { name.to_owned() } else { format!("{name}:{}", gradient.port) }
    }
}

/// A parameter's update: whether weight decay applies depends on what it is.
fn decayed(rule: UpdateRule, role: Role, decay_norm: bool, treatment: &Treatment) -> UpdateRule {
    let decays = match role {
        Role::ConvWeight | Role::LinearWeight => true,
        Role::Bias | Role::NormScale | Role::NormShift => decay_norm,
        Role::RunningMean | Role::RunningVar => false,
        Role::LossScale | Role::GoodSteps | Role::SkippedSteps | Role::StaticLossScale => false,
        Role::Average => false,
    };
    let weight_decay = if decays { rule.weight_decay() } else { 0.0 };
    let weight_decay = treatment.weight_decay.unwrap_or(weight_decay);
    rule.with_weight_decay(weight_decay)
}

/// The filters of convolutions that neither read the images nor are the head: what an optimizer for matrices is for, as those who
/// published it say of the first and the last layer.
fn inner_filters(graph: &Graph) -> HashSet<NodeId> {
    let head = groups::head(&parameters(graph));
    let filter = |id: NodeId| {
        let (Op::Conv(_), [x, weight, ..]) = (&graph.node(id).op, &graph.operands(id)[..]) else {
            return None;
        };
        let images = matches!(graph.node(x.node).op, Op::Input(_));
        let of_head = groups::in_part(&head, &graph.node(weight.node).name);
        (!images && !of_head).then_some(weight.node)
    };
    graph.ids().filter_map(filter).collect()
}

/// Of a network where nothing would take the optimizer's own rule.
fn no_filters(context: &PassContext) -> Diagnostic {
    let message =
        "`muon` trains the filters of convolutions behind the first one, and this training has none";
    Diagnostic::error(message, context.optimizer_at, "no such filter is trained")
        .help("write `optimizer: adamw`, which is what all its parameters would take, or train more of it (`freeze`, `finetune`)")
}

/// The parameters of a graph that may be trained, in its order.
fn trainable(graph: &Graph) -> impl Iterator<Item = (NodeId, Parameter)> + '_ {
    graph.ids().filter_map(|id| match graph.node(id).op {
        Op::Param(Param { role, .. }) if role.trained() => {
            Some((id, Parameter { name: graph.node(id).name.clone(), role }))
        }
        _ => None,
    })
}

/// The parameters of a graph that may be trained, in its order.
pub fn parameters(graph: &Graph) -> Vec<Parameter> {
    trainable(graph).map(|(_, parameter)| parameter).collect()
}

/// How each parameter is trained.
fn treatments(graph: &Graph, groups: &Groups) -> HashMap<NodeId, Treatment> {
    let (ids, parameters): (Vec<NodeId>, Vec<Parameter>) = trainable(graph).unzip();
    ids.into_iter().zip(groups.treat(&parameters)).collect()
}
