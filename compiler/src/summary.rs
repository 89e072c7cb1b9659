//! The network in numbers: the table per unit and the totals. Counted on the graph in the stage `Expanded`, before
//! anything is fused, so that every layer of the spec is there.

use std::collections::HashMap;

use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{Op, Param};
use crate::ir::types::TensorType;
use crate::ops::{self, ShortcutChange};
use crate::report::{PassReport, Summary, UnitRow};
use crate::spec::ResolvedSpec;

/// All figures but those of the plan (`kernels`, `arena_bytes`), which are zero. `kernels_before` counts the operators
/// of the graph itself.
pub(crate) fn summarize(spec: &ResolvedSpec, graph: &Graph, reports: &[PassReport], batch: usize) -> Summary {
    let shortcuts = shortcuts(graph, reports);
    let mut units: Vec<UnitRow> = Vec::new();
    for id in graph.ids() {
        let name = row_name(&graph.node(id).name);
        let found = units.iter().rposition(|row| row.name == name);
        if found.is_none() && !belongs_to_unit(spec, name) {
            continue;
        }
        let index = found.unwrap_or_else(|| {
            units.push(new_row(spec, name, shortcuts.get(name)));
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

/// `stage1.unit0.conv1` belongs to `stage1.unit0`, `stem.conv1` to `stem`.
fn row_name(node: &str) -> &str {
    let dots = if node.starts_with("stage") { 2 } else { 1 };
    node.match_indices('.').nth(dots - 1).map_or(node, |(end, _)| &node[..end])
}

/// The index of the stage in a unit's name, from 0.
fn stage(row: &str) -> Option<usize> {
    let (number, _) = row.strip_prefix("stage")?.split_once('.')?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

/// Whether a row is a part of the network rather than its input, labels or loss.
fn belongs_to_unit(spec: &ResolvedSpec, row: &str) -> bool {
    row == "stem" || row == "head" || stage(row).is_some_and(|stage| stage < spec.stages.len())
}

fn new_row(spec: &ResolvedSpec, name: &str, shortcut: Option<&String>) -> UnitRow {
    let unit = spec.stages.get(stage(name).unwrap_or(usize::MAX)).and_then(|stage| {
        let at = name.rsplit_once(".unit")?.1.parse::<usize>().ok()?;
        Some(stage.units.get(at)?.unit.name.text.clone())
    });
    let part = name.rsplit('.').next().unwrap_or(name);
    UnitRow {
        name: name.to_owned(),
        kind: unit.unwrap_or_else(|| part.to_owned()),
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

/// What became of each unit's shortcut, by the unit's name.
fn shortcuts<'g>(graph: &'g Graph, reports: &'g [PassReport]) -> HashMap<&'g str, String> {
    let mut layers: HashMap<&str, Vec<NodeId>> = HashMap::new();
    for id in graph.ids().filter(|&id| !graph.node(id).op.is_source()) {
        let name = &graph.node(id).name;
        let row = row_name(name);
        if name[row.len()..].starts_with(".shortcut") {
            layers.entry(row).or_default().push(id);
        }
    }
    let mut texts: HashMap<&str, String> =
        layers.into_iter().map(|(row, layers)| (row, layered(graph, &layers))).collect();
    let notes = reports.iter().filter(|report| report.name == "expand-shortcuts").flat_map(|r| &r.notes);
    texts.extend(notes.map(|(node, note)| (row_name(node), note.clone())));
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
