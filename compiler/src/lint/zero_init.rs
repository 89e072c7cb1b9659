//! A unit whose last normalisation starts with scale 0 starts as its shortcut, which makes a deep network as easy to begin
//! with as a shallow one.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::Op;

/// Networks of at most that many weighted layers begin well without.
const DEEP: usize = 100;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let graph = subject.graph;
    let weighted = |op: &Op| matches!(op, Op::Conv(_) | Op::Linear(_));
    let main = subject.nodes().filter(|node| !node.name.contains(".shortcut"));
    let depth = main.filter(|node| weighted(&node.op)).count();
    let ends_in_norm = graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Add(_))).any(|id| {
        graph.operands(id).iter().any(|value| {
            let node = graph.node(value.node);
            matches!(node.op, Op::BatchNorm(_) | Op::GroupNorm(_)) && !node.name.contains(".shortcut")
        })
    });
    if depth <= DEEP || !ends_in_norm || subject.spec.init.zero_last_bn {
        return Vec::new();
    }
    let message = format!("a network of {depth} layers whose units do not start as their shortcuts");
    let warning = Diagnostic::warning(message, subject.place("init.zero_last_bn"), "without `zero_last_bn`");
    vec![warning.help("set `init: {zero_last_bn: true}`")]
}
