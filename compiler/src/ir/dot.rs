//! The graph as Graphviz DOT: a cluster per unit, parameters left out, shapes on the edges.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::graph::{Graph, Node, NodeId};
use super::op::Op;
use super::origin::Origin;

/// The graph as DOT text. Nodes are called by their names, so equal graphs give equal texts.
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=TB;\n", quoted(&graph.name));
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\"];\n");
    let mut clusters: BTreeMap<(usize, String), Vec<NodeId>> = BTreeMap::new();
    let mut first_seen: BTreeMap<String, usize> = BTreeMap::new();
    for id in graph.ids().filter(|&id| shown(graph, id)) {
        let unit = unit_of(graph.node(id));
        let next = first_seen.len();
        let rank = *first_seen.entry(unit.clone()).or_insert(next);
        clusters.entry((rank, unit)).or_default().push(id);
    }
    for ((rank, unit), ids) in &clusters {
        if unit.is_empty() {
            ids.iter().for_each(|&id| write_node(&mut out, graph, id, "  "));
            continue;
        }
        let _ = writeln!(out, "  subgraph cluster_{rank} {{\n    label={};", quoted(unit));
        out.push_str("    style=filled; color=\"#e8eef7\";\n");
        ids.iter().for_each(|&id| write_node(&mut out, graph, id, "    "));
        out.push_str("  }\n");
    }
    for id in graph.ids().filter(|&id| shown(graph, id)) {
        write_edges(&mut out, graph, id);
    }
    out.push_str("}\n");
    out
}

/// Parameters would double the picture; their shapes follow from the operators'.
fn shown(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.node(id).op, Op::Param(_))
}

fn write_node(out: &mut String, graph: &Graph, id: NodeId, indent: &str) {
    let node = graph.node(id);
    let label = format!("{}\\n{}", escaped(&node.name), escaped(&node.op.to_string()));
    let _ = writeln!(out, "{indent}{} [label=\"{label}\"];", quoted(&node.name));
}

fn write_edges(out: &mut String, graph: &Graph, id: NodeId) {
    for value in graph.operands(id).into_iter().filter(|value| shown(graph, value.node)) {
        let (from, to) = (&graph.node(value.node).name, &graph.node(id).name);
        let label = graph.value_type(value).map(|ty| ty.shape.to_string()).unwrap_or_default();
        let _ = writeln!(out, "  {} -> {} [label={}];", quoted(from), quoted(to), quoted(&label));
    }
}

/// `stage1.unit0`, `stem`, `backward stage1.unit0`; empty for a node that belongs to no part.
fn unit_of(node: &Node) -> String {
    let pass = match node.origin {
        Origin::Forward => "",
        Origin::Gradient { .. } | Origin::Again { .. } => "backward ",
        Origin::Update { .. } => "update ",
    };
    format!("{pass}{}", node.part).trim_end().to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}
