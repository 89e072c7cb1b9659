//! Puts an activation into the sum before it, where no other kernel took the sum in.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode};
use crate::ir::op::{Activate, Add, GradFrom, Op};
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    if !context.backend.fusions.sum_activations {
        return Ok(patch);
    }
    for id in graph.ids().filter(|&id| graph.node(id).op == Op::Add(Add { act: None })) {
        let node = graph.node(id);
        let Some(user) = graph.sole_user(id.into()) else {
            patch.refused(node, "left: its sum is used more than once");
            continue;
        };
        let Op::Activate(Activate { act }) = graph.node(user).op else {
            patch.refused(node, "left: no activation follows");
            continue;
        };
        if graph.mode == Mode::Train && act.grad_from() == GradFrom::Input {
            patch.refused(node, format!("left: the gradient of {act} needs the sum"));
            continue;
        }
        patch.replace(id, Op::Add(Add { act: Some(act) }), &graph.operands(id));
        patch.redirect(user, id);
        patch.remove(user);
        patch.fused(id, node, "took in", graph.node(user));
    }
    Ok(patch)
}
