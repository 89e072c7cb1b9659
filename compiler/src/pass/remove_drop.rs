//! Inference: removes the random operators, which are the identity there.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Graph;
use crate::ir::op::Op;
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, _context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    for id in graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Drop(_))) {
        patch.redirect(id, graph.operands(id)[0]);
        patch.remove(id);
        patch.fired_silently(graph.node(id), "removed: the identity in inference");
    }
    Ok(patch)
}
