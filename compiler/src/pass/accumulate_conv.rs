//! Puts the sum of two gradients into the convolution that computes one of them: `ConvBackwardData` adds the other
//! before it stores.
//!
//! The other gradient cannot depend on the convolution, whose only way out is the sum.

use std::collections::HashSet;

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Graph;
use crate::ir::op::{Add, ConvBackwardData, Op};
use crate::ir::origin::Origin;
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    if !context.backend.fusions.accumulated_gradients {
        return Ok(patch);
    }
    let mut taken = HashSet::new();
    for sum in graph.ids().filter(|&id| graph.node(id).op == Op::Add(Add { act: None })) {
        let node = graph.node(sum);
        let operands = graph.operands(sum);
        // The second operand is computed last: the first is then ready to be read.
        let found = [1, 0].into_iter().find(|&i| {
            let id = operands[i].node;
            let open =
                matches!(graph.node(id).op, Op::ConvBackwardData(ConvBackwardData { residual: false, .. }));
            open && graph.sole_user(operands[i]).is_some() && taken.insert(id)
        });
        let Some(i) = found else {
            if node.origin != Origin::Forward {
                patch
                    .refused(node, "left: neither gradient comes from a convolution that is used here alone");
            }
            continue;
        };
        let conv = operands[i].node;
        let Op::ConvBackwardData(ConvBackwardData { attrs, input, .. }) = graph.node(conv).op.clone() else {
            continue;
        };
        let mut inputs = graph.operands(conv);
        inputs.push(operands[1 - i]);
        patch.replace(conv, Op::ConvBackwardData(ConvBackwardData { attrs, input, residual: true }), &inputs);
        patch.redirect(sum, conv);
        patch.remove(sum);
        patch.fused(conv, graph.node(conv), "took in", node);
    }
    Ok(patch)
}
