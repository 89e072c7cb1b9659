//! What multiplies the shortcut, a constant or a gate, multiplies once per unit, so that the signal vanishes or explodes
//! exponentially with depth. On ResNet-110, all such shortcuts were worse than the identity.

use std::collections::HashSet;

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::Op;
use crate::ir::origin::Part;
use crate::source::Span;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let graph = subject.graph;
    let mut found: Vec<(Span, usize)> = Vec::new();
    for id in graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Add(_))) {
        let unit = graph.node(id).part;
        if unit.stage().is_none() {
            continue;
        }
        let mut walk = Walk { graph, unit, seen: HashSet::new(), factors: Vec::new() };
        for operand in graph.operands(id) {
            walk.from(operand.node, None);
        }
        for factor in walk.factors {
            match found.iter_mut().find(|(span, _)| *span == factor) {
                Some((_, units)) => *units += 1,
                None => found.push((factor, 1)),
            }
        }
    }
    let warn = |(span, units): (Span, usize)| {
        let plural = if units == 1 { "unit" } else { "units" };
        Diagnostic::warning("the shortcut is multiplied", span, format!("in {units} {plural}"))
            .help("let the identity pass: `main + shortcut`; scale or gate the main branch instead")
    };
    found.into_iter().map(warn).collect()
}

/// From a unit's sum back to its input, not through weights: that way is the shortcut.
struct Walk<'g> {
    graph: &'g Graph,
    unit: Part,
    seen: HashSet<NodeId>,
    factors: Vec<Span>,
}

impl Walk<'_> {
    /// `factor` is the last multiplication on the way.
    fn from(&mut self, id: NodeId, factor: Option<Span>) {
        let node = self.graph.node(id);
        if node.part != self.unit {
            self.factors.extend(factor);
            return;
        }
        let weighs = matches!(
            node.op,
            Op::Conv(_)
                | Op::ChannelConv(_)
                | Op::BatchNorm(_)
                | Op::GroupNorm(_)
                | Op::Linear(_)
                | Op::Param(_)
        );
        if weighs || !self.seen.insert(id) {
            return;
        }
        let multiplies = matches!(node.op, Op::Mul(_) | Op::ScaleShift(_));
        let factor = if multiplies { Some(node.span) } else { factor };
        for operand in self.graph.operands(id) {
            self.from(operand.node, factor);
        }
    }
}
