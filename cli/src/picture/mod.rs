//! The graph as a picture: one SVG, laid out here, so that no Graphviz has to be on the machine.
//!
//! Parameters with their gradients and updates, and labels, are not drawn, nor are the feature maps that the backward
//! pass reads again: they would hide what the picture is for, the way of the data. Operators of one unit stand in one frame.

mod label;
mod layout;
mod svg;

use std::collections::HashMap;

use petgraph::algo::toposort;
use resnetc_compiler::ir::graph::{Graph, NodeId};
use resnetc_compiler::ir::op::Op;

use label::Kind;
use layout::{Layout, layout};

/// A box before it has a place.
#[derive(Debug)]
struct Item {
    title: String,
    name: String,
    shape: String,
    tooltip: String,
    unit: String,
    kind: Kind,
    /// Several operators in one kernel.
    fused: bool,
}

const HEIGHT: f64 = 36.0;

/// Draws the graph.
pub fn svg(graph: &Graph) -> String {
    let ids = drawn(graph);
    let index: HashMap<NodeId, usize> = ids.iter().enumerate().map(|(i, &id)| (id, i)).collect();
    let items: Vec<_> = ids.iter().map(|&id| item(graph, id)).collect();
    let edges = edges(graph, &ids, &index, &items);
    let sizes: Vec<_> = items.iter().map(|item| (svg::width(item), HEIGHT)).collect();
    let placed: Layout = layout(&sizes, &edges);
    svg::render(&graph.name, &items, &placed)
}

/// The nodes to draw, in topological order.
fn drawn(graph: &Graph) -> Vec<NodeId> {
    let order = toposort(graph.petgraph(), None).expect("a verified graph has no cycle");
    order.into_iter().filter(|&id| !beside_the_data(&graph.node(id).op)).collect()
}

/// Parameters, what is done with them, and labels.
fn beside_the_data(op: &Op) -> bool {
    matches!(
        op,
        Op::Param { .. }
            | Op::Labels { .. }
            | Op::ConvBackwardFilter { .. }
            | Op::LinearBackwardFilter
            | Op::ChannelSum
            | Op::SgdUpdate { .. }
    )
}

/// Edges between drawn boxes. Of those from the forward into the backward pass only the loss' is left.
fn edges(
    graph: &Graph,
    ids: &[NodeId],
    index: &HashMap<NodeId, usize>,
    items: &[Item],
) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for (to, &id) in ids.iter().enumerate() {
        for value in graph.operands(id) {
            let Some(&from) = index.get(&value.node) else { continue };
            let saved = items[to].kind == Kind::Backward && items[from].kind != Kind::Backward;
            if !saved || matches!(graph.node(id).op, Op::CrossEntropyBackward { .. }) {
                edges.push((from, to));
            }
        }
    }
    edges
}

fn item(graph: &Graph, id: NodeId) -> Item {
    let node = graph.node(id);
    let shape = node.types.first().map(|t| t.shape.to_string()).unwrap_or_default();
    let kind = label::kind(node);
    let (unit, rest) = unit(&node.name);
    let title = label::title(&node.op);
    let history: String = node.history.iter().map(|sentence| format!("\n{sentence}")).collect();
    Item {
        fused: title.contains(" + "),
        tooltip: format!("{}\n{title}\n{shape}{history}", node.name),
        unit: if kind == Kind::Backward { String::new() } else { unit.to_owned() },
        name: if rest.is_empty() || kind == Kind::Backward { node.name.clone() } else { rest.to_owned() },
        title,
        shape,
        kind,
    }
}

/// The unit that a spec path lies in and the rest: `stage1.unit0`, `conv1`; of `stem.conv`: `stem`, `conv`.
fn unit(name: &str) -> (&str, &str) {
    let mut dots = name.match_indices('.').map(|(at, _)| at);
    let end = match (dots.next(), dots.next()) {
        (Some(_), Some(second)) if name.starts_with("stage") => second,
        (Some(first), _) => first,
        (None, _) => return ("", name),
    };
    (&name[..end], &name[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn units_are_the_first_segments_of_names() {
        assert_eq!(unit("stage1.unit0.conv1"), ("stage1.unit0", "conv1"));
        assert_eq!(unit("stage2.unit3.shortcut.conv"), ("stage2.unit3", "shortcut.conv"));
        assert_eq!(unit("stem.conv"), ("stem", "conv"));
        assert_eq!(unit("images"), ("", "images"));
    }
}
