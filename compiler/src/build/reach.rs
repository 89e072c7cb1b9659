//! Values that units bind and that no result depends on: what they say would vanish as dead code, without a word.

use std::collections::HashSet;

use super::builder::Bound;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::source::Span;

/// A fault for each binding that no unit of the network needs. A unit may leave a value aside that another unit reads.
pub(super) fn lost(graph: &Graph, bound: &[Bound<'_>]) -> Vec<Diagnostic> {
    let needed = needed(graph);
    let live = |bound: &&Bound<'_>| needed[bound.node.index()];
    let mut told: HashSet<Span> = bound.iter().filter(live).map(|bound| bound.name.span).collect();
    let dead = bound.iter().filter(|bound| told.insert(bound.name.span));
    dead.map(|bound| {
        let message = format!("`{}` reaches no result", bound.name.text);
        let fault = Diagnostic::error(message, bound.name.span, "in no unit of this network");
        fault.help(
            "`shortcut(changed=a)` reads `a` only where input and main branch differ in shape, `shortcut(same=a)` only \
             elsewhere; `shortcut(a)` always does",
        )
    })
    .collect()
}

/// For each node, whether an output depends on it.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.bound()];
    for (_, value) in &graph.outputs {
        needed[value.node.index()] = true;
    }
    // Operands stand before their users.
    let order: Vec<NodeId> = graph.ids().collect();
    for id in order.into_iter().rev() {
        if needed[id.index()] {
            graph.operands(id).iter().for_each(|value| needed[value.node.index()] = true);
        }
    }
    needed
}
