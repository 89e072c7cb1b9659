//! Where a unit keeps its input's shape, the input should pass as it is. Layers with weights or normalisations on all its ways
//! keep the signal from going through many units: on ResNet-110, all such shortcuts were worse than the identity.

use std::collections::{BTreeMap, HashSet};

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::Op;
use crate::ir::origin::Part;
use crate::ir::types::Shape;
use crate::source::Span;

/// What is known of one unit.
#[derive(Default)]
struct Unit {
    /// What it reads.
    input: Option<Shape>,
    /// What it gives on.
    output: Option<Shape>,
    /// Its sums.
    sums: Vec<NodeId>,
}

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let graph = subject.graph;
    let mut found: BTreeMap<Span, usize> = BTreeMap::new();
    for (part, unit) in units(graph) {
        let Some(&last) = unit.sums.last().filter(|_| unit.input == unit.output) else { continue };
        if !passes(graph, part, unit.sums) {
            *found.entry(graph.node(last).span).or_default() += 1;
        }
    }
    let warn = |(span, units): (Span, usize)| {
        let plural = if units == 1 { "unit" } else { "units" };
        Diagnostic::warning("the unit's input does not pass as it is", span, format!("in {units} {plural}"))
            .help("add the input itself where shapes agree: `main + shortcut` with `same: identity`, or `shortcut(changed=pre)`")
    };
    found.into_iter().map(warn).collect()
}

fn units(graph: &Graph) -> Vec<(Part, Unit)> {
    let mut units: Vec<(Part, Unit)> = Vec::new();
    let shape = |id: NodeId| graph.node(id).types.first().map(|ty| ty.shape.clone());
    for id in graph.ids().filter(|&id| graph.node(id).part.stage().is_some()) {
        let node = graph.node(id);
        if node.op.is_source() {
            continue;
        }
        if units.last().is_none_or(|(part, _)| *part != node.part) {
            units.push((node.part, Unit::default()));
        }
        let Some((part, unit)) = units.last_mut() else { continue };
        let outside = graph.operands(id).into_iter().find(|value| graph.node(value.node).part != *part);
        unit.input = unit.input.take().or_else(|| shape(outside?.node));
        unit.output = shape(id);
        if matches!(node.op, Op::Add(_)) {
            unit.sums.push(id);
        }
    }
    units
}

/// Whether a way leads from one of the sums to the unit's input past all weights and normalisations.
fn passes(graph: &Graph, unit: Part, sums: Vec<NodeId>) -> bool {
    let (mut seen, mut next) = (HashSet::new(), sums);
    while let Some(id) = next.pop() {
        let node = graph.node(id);
        if node.part != unit {
            return true;
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
        if !weighs && seen.insert(id) {
            next.extend(graph.operands(id).into_iter().map(|value| value.node));
        }
    }
    false
}
