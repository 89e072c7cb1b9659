//! Training: puts the activation behind a batch or group normalisation, and the sum between them, into its epilogue: one
//! pass over memory forward, and in the backward pass the activation's mask costs nothing extra.
//!
//! Only activations whose mask follows from their result (relu, leaky relu). A sum without an activation behind it is
//! left alone: its gradient passes through for free, while a fused one would be copied.

use std::collections::HashSet;

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::{Activate, Activation, Add, BatchNorm, Epilogue, GroupNorm, Op};
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    if !context.backend.fusions.norm_epilogues {
        return Ok(patch);
    }
    let mut taken = HashSet::new();
    for id in graph.ids() {
        let mut op = graph.node(id).op.clone();
        let (Op::BatchNorm(BatchNorm { epilogue, .. }) | Op::GroupNorm(GroupNorm { epilogue, .. })) = &mut op
        else {
            continue;
        };
        let node = graph.node(id);
        match tail(graph, id, &taken) {
            Err(reason) => patch.refused(node, format!("left: {reason}")),
            Ok(Tail { sum, activation, act }) => {
                let mut operands = graph.operands(id);
                if let Some(sum) = sum {
                    taken.insert(sum);
                    let others = graph.operands(sum).into_iter().filter(|value| value.node != id);
                    operands.extend(others);
                    patch.fused(id, node, "took in", graph.node(sum));
                    patch.remove(sum);
                }
                *epilogue = Epilogue { residual: sum.is_some(), act: Some(act) };
                patch.replace(id, op, &operands);
                patch.fused(id, node, "took in", graph.node(activation));
                patch.redirect(activation, id);
                patch.remove(activation);
            }
        }
    }
    Ok(patch)
}

/// What follows a normalisation and can be taken in.
struct Tail {
    sum: Option<NodeId>,
    activation: NodeId,
    act: Activation,
}

fn tail(graph: &Graph, id: NodeId, taken: &HashSet<NodeId>) -> Result<Tail, &'static str> {
    let follower = |id: NodeId| graph.sole_user(id.into()).ok_or("its result is used more than once");
    let mut activation = follower(id)?;
    let mut sum = None;
    if let Op::Add(Add { act: None }) = graph.node(activation).op {
        if taken.contains(&activation) {
            return Err("another normalisation took the sum in");
        }
        sum = Some(activation);
        activation = follower(activation).map_err(|_| "the sum behind it is used more than once")?;
    }
    let Op::Activate(Activate { act }) = &graph.node(activation).op else {
        return Err("no activation follows");
    };
    match act.keeps_sign() {
        true => Ok(Tail { sum, activation, act: *act }),
        false => Err("the activation has no mask that follows from its result"),
    }
}
