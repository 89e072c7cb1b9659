//! The network in numbers: the table per unit and the totals. Counted on the graph in the stage `Expanded`, before
//! anything is fused, so that every layer of the spec is there.

use std::collections::HashMap;

use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{Op, Param};
use crate::ir::origin::Part;
use crate::ir::types::TensorType;
use crate::ops::{self, ShortcutChange};
use crate::pass::PassId;
use crate::report::{PassReport, Summary, UnitRow};
use crate::spec::ResolvedSpec;

/// All figures but those of the plan (`kernels`, `arena_bytes`), which are zero. `kernels_before` counts the operators
/// of the graph itself.
pub(crate) fn summarize(spec: &ResolvedSpec, graph: &Graph, reports: &[PassReport], batch: usize) -> Summary {
    let shortcuts = shortcuts(graph, reports);
    let mut units: Vec<UnitRow> = Vec::new();
    for id in graph.ids() {
        let part = graph.node(id).part;
        if part == Part::Network {
            continue;
        }
        let found = units.iter().rposition(|row| row.part == part);
        let index = found.unwrap_or_else(|| {
            units.push(new_row(spec, part, shortcuts.get(&part)));
            units.len() - 1
        });
        count(graph, id, batch, &mut units[index]);
    }
    let logits = graph.output("logits").or_else(|| graph.outputs.last().map(|&(_, value)| value));
    let output = logits.and_then(|value| graph.value_type(value));
    Summary {
        name: graph.name.clone(),
        params: units.iter().map(|row| row.params).sum(),
        macs: units.iter().map(|row| row.macs).sum(),
        output_shape: output.map_or(Vec::new(), |ty| ty.shape.0.clone()),
        units,
        kernels_before: operators(graph),
        kernels: 0,
        arena_bytes: 0,
    }
}

/// Number of operators that compute something.
pub(crate) fn operators(graph: &Graph) -> usize {
    graph.ids().filter(|&id| !graph.node(id).op.is_source()).count()
}

fn new_row(spec: &ResolvedSpec, part: Part, shortcut: Option<&String>) -> UnitRow {
    let kind = match part {
        Part::Unit { stage, unit } => spec.stages[stage - 1].units[unit].unit.name.text.clone(),
        Part::Transition { .. } => "transition".to_owned(),
        Part::Stem | Part::Head | Part::Network => part.to_string(),
    };
    UnitRow {
        name: part.to_string(),
        part,
        kind,
        output_shape: Vec::new(),
        params: 0,
        macs: 0,
        shortcut: shortcut.cloned(),
    }
}

/// Adds one node to its row. Nodes come in an order of execution, so the last one's result is the row's.
fn count(graph: &Graph, id: NodeId, batch: usize, row: &mut UnitRow) {
    let node = graph.node(id);
    if let Op::Param(Param { shape, role, .. }) = &node.op {
        if role.trained() {
            row.params += shape.numel().unwrap_or(0) as u64;
        }
        return;
    }
    let operands: Vec<Value> = graph.operands(id);
    let types: Option<Vec<&TensorType>> = operands.iter().map(|&value| graph.value_type(value)).collect();
    let types = types.expect("every value has a type from the stage Typed on");
    row.macs += ops::cost(&node.op, &types, &node.types).macs / batch.max(1) as u64;
    if let Some(ty) = node.types.first() {
        row.output_shape = ty.shape.0.get(1..).unwrap_or_default().to_vec();
    }
}

/// What became of each unit's shortcut.
fn shortcuts(graph: &Graph, reports: &[PassReport]) -> HashMap<Part, String> {
    let mut layers: HashMap<Part, Vec<NodeId>> = HashMap::new();
    for id in graph.ids().filter(|&id| !graph.node(id).op.is_source()) {
        let node = graph.node(id);
        if node.part.local(&node.name).starts_with("shortcut") {
            layers.entry(node.part).or_default().push(id);
        }
    }
    let mut texts: HashMap<Part, String> =
        layers.into_iter().map(|(part, layers)| (part, layered(graph, &layers))).collect();
    let reports = reports.iter().filter(|report| report.pass == PassId::ExpandShortcuts);
    let notes = reports.flat_map(|report| &report.notes);
    texts.extend(notes.map(|note| (note.part, note.sentence.clone())));
    texts
}

/// A shortcut of the spec's own layers: `avgpool -> conv -> bn: 256 -> 512 channels, stride 2`.
fn layered(graph: &Graph, layers: &[NodeId]) -> String {
    let kind = |&id: &NodeId| {
        let name = &graph.node(id).name;
        let last = name.rsplit('.').next().unwrap_or(name);
        last.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
    };
    let kinds = layers.iter().map(kind).collect::<Vec<_>>().join(" -> ");
    let size = |value: Value| graph.value_type(value).and_then(|ty| ty.shape.nchw());
    let first = layers.first().and_then(|&id| graph.operands(id).first().copied()).and_then(size);
    let last = layers.last().and_then(|&id| size(id.into()));
    match first.zip(last).and_then(|(x, main)| ShortcutChange::between(x, main)) {
        Some(change) if !change.is_none() => format!("{kinds}: {change}"),
        _ => kinds,
    }
}
