//! Puts the sum and the activation behind a convolution, an affine map, a group normalisation or a product into its
//! epilogue, so that its result is written once. In training only products: what is behind a convolution there is a
//! normalisation, which a pass of its own looks after.
//!
//! `conv -> add(residual) -> act`, `conv -> act` and `conv -> add(residual)` fuse, each intermediate having one user.
//! The residual cannot depend on the convolution: its only way out is the sum. In training the activation has to be one
//! whose mask follows from its result.

use std::collections::HashSet;

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Value};
use crate::ir::op::{Activate, Add, Affine, Conv, Epilogue, GroupNorm, Mul, Op};
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    let mut taken = HashSet::new();
    for id in graph.ids() {
        let op = &graph.node(id).op;
        let fusions = context.backend.fusions;
        let everywhere = fusions.product_epilogues && matches!(op, Op::Mul(_));
        let in_inference =
            fusions.inference_epilogues && matches!(op, Op::Conv(_) | Op::Affine(_) | Op::GroupNorm(_));
        if everywhere || (in_inference && graph.mode == Mode::Infer) {
            fuse(graph, &mut patch, &mut taken, id, op.clone());
        }
    }
    Ok(patch)
}

fn fuse(graph: &Graph, patch: &mut Patch, taken: &mut HashSet<NodeId>, id: NodeId, mut op: Op) {
    let (Op::Conv(Conv { epilogue, .. })
    | Op::Affine(Affine { epilogue })
    | Op::GroupNorm(GroupNorm { epilogue, .. })
    | Op::Mul(Mul { epilogue })) = &mut op
    else {
        return;
    };
    let node = graph.node(id);
    let mut operands = graph.operands(id);
    let mut last = id;
    let stop = loop {
        if graph.is_output(last.into()) {
            break "it is a result of the network";
        }
        let Some(user) = graph.sole_user(last.into()) else { break "its result is used more than once" };
        let follower = &graph.node(user).op;
        if let Op::Activate(Activate { act }) = follower
            && epilogue.act.is_none()
            && (graph.mode == Mode::Infer || act.keeps_sign())
        {
            epilogue.act = Some(*act);
        } else if *follower == (Op::Add(Add { act: None })) && *epilogue == Epilogue::default() {
            if !taken.insert(user) {
                break "another kernel took the sum in";
            }
            operands.push(other(graph, user, last));
            epilogue.residual = true;
        } else {
            break "no sum and no activation that it could take in follows";
        }
        patch.fused(id, node, "took in", graph.node(user));
        patch.remove(user);
        last = user;
    };
    if last == id {
        patch.refused(node, format!("left: {stop}"));
        return;
    }
    patch.redirect(last, id);
    patch.replace(id, op, &operands);
}

/// The operand of a sum that is not the given node.
fn other(graph: &Graph, sum: NodeId, node: NodeId) -> Value {
    let operands = graph.operands(sum);
    operands.into_iter().find(|value| value.node != node).expect("a node with one use is one operand")
}
