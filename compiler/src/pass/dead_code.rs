//! Removes nodes that neither an output nor an update needs. The input and the labels stay: callers write them.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::Op;
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, _context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut needed = vec![false; graph.bound()];
    for (_, value) in &graph.outputs {
        needed[value.node.index()] = true;
    }
    for id in graph.ids().filter(|&id| root(&graph.node(id).op)) {
        needed[id.index()] = true;
    }
    let order: Vec<NodeId> = graph.ids().collect();
    for &id in order.iter().rev().filter(|id| graph.petgraph().contains_node(**id)) {
        if needed[id.index()] {
            graph.operands(id).iter().for_each(|value| needed[value.node.index()] = true);
        }
    }
    let mut patch = Patch::new(graph);
    for id in order.into_iter().filter(|id| !needed[id.index()]) {
        patch.remove(id);
        patch.fired_silently(graph.node(id), "removed: nothing uses it");
    }
    Ok(patch)
}

/// Whether a node is there for its effect.
fn root(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::Labels(_) | Op::Partners(_) | Op::Teacher(_) | Op::Update(_))
}
