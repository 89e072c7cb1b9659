//! What multiplies the shortcut, a constant or a gate, multiplies once per unit, so that the signal vanishes or explodes
//! exponentially with depth. On ResNet-110, all such shortcuts were worse than the identity.

use std::collections::{HashMap, HashSet};

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::Op;
use crate::ir::origin::Part;
use crate::source::Span;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let graph = subject.graph;
    let mut walks: HashMap<Part, Walk<'_>> = HashMap::new();
    let mut order = Vec::new();
    // The last sum of a unit first: a sum in it is then walked through once, however many there are.
    let sums: Vec<NodeId> = graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Add(_))).collect();
    for id in sums.into_iter().rev() {
        let unit = graph.node(id).part;
        if unit.stage().is_none() {
            continue;
        }
        let walk = walks.entry(unit).or_insert_with(|| {
            order.push(unit);
            Walk { graph, unit, seen: HashSet::new(), factors: Vec::new(), known: HashSet::new() }
        });
        walk.back_from(id);
    }
    let mut found: Vec<(Span, usize)> = Vec::new();
    let mut numbers: HashMap<Span, usize> = HashMap::new();
    for factor in order.iter().rev().flat_map(|unit| walks[unit].factors.iter().copied()) {
        let number = *numbers.entry(factor).or_insert(found.len());
        match found.get_mut(number) {
            Some((_, units)) => *units += 1,
            None => found.push((factor, 1)),
        }
    }
    let warn = |(span, units): (Span, usize)| {
        let plural = if units == 1 { "unit" } else { "units" };
        Diagnostic::warning("the shortcut is multiplied", span, format!("in {units} {plural}"))
            .help("let the identity pass: `main + shortcut`; scale or gate the main branch instead")
    };
    found.into_iter().map(warn).collect()
}

/// From a unit's sums back to its input, not through weights: that way is the shortcut.
struct Walk<'g> {
    graph: &'g Graph,
    unit: Part,
    seen: HashSet<NodeId>,
    /// Each once, in the order of the walk.
    factors: Vec<Span>,
    known: HashSet<Span>,
}

impl Walk<'_> {
    /// From one sum. A list of what is open, as a unit may have more operators than the stack has room.
    fn back_from(&mut self, sum: NodeId) {
        // Each with the last multiplication on the way.
        let mut open: Vec<(NodeId, Option<Span>)> = vec![(sum, None)];
        while let Some((id, factor)) = open.pop() {
            let node = self.graph.node(id);
            if node.part != self.unit {
                self.factors.extend(factor.filter(|&factor| self.known.insert(factor)));
                continue;
            }
            if weighs(&node.op) || !self.seen.insert(id) {
                continue;
            }
            let multiplies = matches!(node.op, Op::Mul(_) | Op::ScaleShift(_));
            let factor = if multiplies { Some(node.span) } else { factor };
            open.extend(self.graph.operands(id).into_iter().rev().map(|operand| (operand.node, factor)));
        }
    }
}

fn weighs(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv(_) | Op::ChannelConv(_) | Op::BatchNorm(_) | Op::GroupNorm(_) | Op::Linear(_) | Op::Param(_)
    )
}
