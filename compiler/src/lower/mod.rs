//! The last step of compilation: a graph in [`Stage::LaidOut`] becomes a [`Plan`].
//!
//! Each operator adds the steps that compute it (`ops/`); here is in which order, and where persistent memory lies. All updates
//! with the same constants are one step.

mod average;
mod local_sgd;
mod loss_scale;
mod order;
mod persistent;
mod ranks;
mod shards;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::backend::Backend;
use crate::ir::graph::{Graph, NodeId, Stage, Value};
use crate::ir::op::Op;
use crate::ir::origin::Origin;
use crate::ir::step_kind::StepKind;
use crate::ops::{self, lowering::Lowering};
use crate::plan::{BufferId, Kernel, Plan, Region};
use persistent::Persistent;

/// Lowers a graph.
///
/// # Panics
/// On a graph that the verifier would have refused.
pub fn lower(graph: &Graph, backend: &Backend) -> Plan {
    assert_eq!(graph.stage, Stage::LaidOut, "only graphs with layouts are lowered");
    let mut plan = Plan::new(&graph.name, graph.mode, backend);
    let mut values = HashMap::new();
    plan.tf32 = graph.tf32 && backend.tf32;
    plan.deterministic = graph.deterministic || backend.deterministic;
    plan.ranks = graph.ranks;
    let persistent = Persistent::place(graph, &mut plan, &mut values);
    add_sources(graph, &mut plan, &mut values);
    let is_wanted = |id: &NodeId| {
        graph.step.has_backward() || graph.step.has_forward() && graph.node(*id).origin == Origin::Forward
    };
    for node in order::order(graph).into_iter().filter(is_wanted) {
        let (plan, values, gradients) = (&mut plan, &mut values, persistent.gradients());
        let loss_scale = persistent.loss_scale();
        let inputs = graph.operands(node);
        ops::operator(&graph.node(node).op).lower(&mut Lowering {
            graph,
            plan,
            values,
            gradients,
            loss_scale,
            node,
            inputs,
        });
    }
    persistent.add_updates(&mut plan);
    if graph.step == StepKind::Statistics {
        keep_batch_statistics(&mut plan);
    }
    if let Some(ranks) = graph.ranks {
        match graph.step {
            StepKind::Update if !ranks.is_local() => {
                ranks::add_reductions(&mut plan, ranks, graph.accumulates);
            }
            StepKind::Synchronize => local_sgd::add_means(&mut plan),
            StepKind::Update | StepKind::Gather | StepKind::Statistics => {}
        }
    }
    if graph.step.has_forward() {
        plan.outputs = graph.outputs.iter().map(|(name, value)| (name.clone(), values[value])).collect();
    }
    plan.place(backend, &computed_again(graph, &values));
    debug_assert_eq!(plan.check(), Vec::<String>::new());
    plan
}

/// Maps that are computed again, each with the one of the first time.
fn computed_again(graph: &Graph, values: &HashMap<Value, BufferId>) -> Vec<[BufferId; 2]> {
    let names: HashMap<&str, NodeId> = graph.ids().map(|id| (graph.node(id).name.as_str(), id)).collect();
    let mut pairs = Vec::new();
    for id in graph.ids() {
        let Origin::Again { of } = &graph.node(id).origin else { continue };
        let first = names[of.as_str()];
        let ports =
            (0..graph.node(id).types.len() as u8).map(|port| [first, id].map(|node| Value { node, port }));
        pairs.extend(ports.filter_map(|[first, again]| Some([*values.get(&first)?, *values.get(&again)?])));
    }
    pairs
}

/// Makes running statistics those of the last batch.
fn keep_batch_statistics(plan: &mut Plan) {
    for step in &mut plan.steps {
        match &mut step.kernel {
            Kernel::BnStats(statistics) => statistics.momentum = 1.0,
            Kernel::BnCombine(statistics) => statistics.momentum = 1.0,
            _ => {}
        }
    }
}

/// The buffers that are filled from outside before every run.
fn add_sources(graph: &Graph, plan: &mut Plan, values: &mut HashMap<Value, BufferId>) {
    for id in graph.ids() {
        let node = graph.node(id);
        if !matches!(node.op, Op::Input(_) | Op::Labels(_) | Op::Partners(_) | Op::Teacher(_)) {
            continue;
        }
        let mut buffers = Vec::with_capacity(node.types.len());
        for (port, ty) in (0..).zip(&node.types) {
            let value = Value { node: id, port };
            let buffer = plan.add_buffer(graph.value_name(value), ty, Region::Arena, 0);
            values.insert(value, buffer);
            buffers.push(buffer);
        }
        match (&node.op, buffers[..].try_into()) {
            (Op::Partners(_), partners) => plan.partners = partners.ok(),
            (Op::Labels(_), _) => plan.labels = Some(buffers[0]),
            (Op::Teacher(_), _) => plan.teacher = Some(buffers[0]),
            (_, _) => {
                plan.input = buffers[0];
                plan.batch = node.types[0].shape.0[0];
            }
        }
    }
    assert!(plan.batch > 0, "a network has an input");
}
