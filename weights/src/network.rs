//! What a network wants: its tensors, each with its place in the network, which does not depend on what the spec's author wrote
//! around it.

use std::collections::BTreeMap;

use resnetc_compiler::ir::graph::{Graph, NodeId};
use resnetc_compiler::ir::op::{Op, Role};
use resnetc_compiler::ir::origin::Part;

/// A tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in checkpoints: `stage1.unit0.conv1.weight`.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Where its layer is: `stem.conv1`, `stage1.unit0.norm2`, `stage2.unit0.shortcut.conv1`, `stage2.transition.conv1`,
    /// `head.linear1`. Layers of a kind count from 1 within their part, in the order of the spec; `gate` is a convolution or linear
    /// layer that reads what was pooled to one pixel within its unit, `channel` one along the channels.
    pub place: String,
    /// Which of its layer's tensors: `weight`.
    pub leaf: String,
    /// Whether it is of the last layer, whose size follows from the classes.
    pub last: bool,
}

/// A network, as far as names of tensors depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its tensors, in the order of the graph.
    pub tensors: Vec<Wanted>,
    /// Convolutions of the stem.
    pub stem_convs: usize,
    /// Whether pixels are averaged on some shortcut.
    pub pooled_shortcuts: bool,
}

/// Layers with tensors, by kind.
fn kind(op: &Op) -> Option<&'static str> {
    match op {
        Op::Conv(_) => Some("conv"),
        Op::Linear(_) => Some("linear"),
        Op::BatchNorm(_) | Op::GroupNorm(_) => Some("norm"),
        Op::ChannelConv(_) => Some("channel"),
        _ => None,
    }
}

impl Network {
    /// Of an expanded graph: one in which every layer is a node and every shortcut is decided.
    pub fn of(graph: &Graph) -> Self {
        let mut counts: BTreeMap<(Part, bool, &str), usize> = BTreeMap::new();
        let mut tensors = Vec::new();
        for id in in_order(graph) {
            let node = graph.node(id);
            let Some(kind) = kind(&node.op) else { continue };
            let kind = if kind != "norm" && is_gate(graph, id) { "gate" } else { kind };
            let kind = if matches!(node.op, Op::ChannelConv(_)) { "channel" } else { kind };
            let shortcut = node.part.local(&node.name).starts_with("shortcut");
            let number = counts.entry((node.part, shortcut, kind)).or_default();
            *number += 1;
            let around = if shortcut { ".shortcut" } else { "" };
            tensors.extend(of_layer(graph, id, &format!("{}{around}.{kind}{number}", node.part)));
        }
        mark_last(&mut tensors);
        let pooled = |node: &resnetc_compiler::ir::graph::Node| {
            matches!(node.op, Op::AvgPool(_)) && node.part.local(&node.name).starts_with("shortcut")
        };
        Network {
            name: graph.name.clone(),
            tensors,
            stem_convs: counts.get(&(Part::Stem, false, "conv")).copied().unwrap_or(0),
            pooled_shortcuts: graph.ids().any(|id| pooled(graph.node(id))),
        }
    }

    /// Trained numbers: statistics are none.
    pub fn parameters(&self) -> usize {
        let trained = self.tensors.iter().filter(|tensor| !tensor.leaf.starts_with("running"));
        trained.map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

/// The nodes in the order of the spec: layers of a kind are numbered so by their names, also where passes put some in later.
fn in_order(graph: &Graph) -> Vec<NodeId> {
    let number = |id: &NodeId| {
        let node = graph.node(*id);
        let digits = node.name.len() - node.name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number = node.name[node.name.len() - digits..].parse::<usize>().unwrap_or(0);
        (node.part, number)
    };
    let mut ids: Vec<_> = graph.ids().collect();
    ids.sort_by_key(number);
    ids
}

/// The tensors that a layer reads.
fn of_layer(graph: &Graph, id: NodeId, place: &str) -> Vec<Wanted> {
    let layer = &graph.node(id).name;
    let operands = graph.operands(id).into_iter().map(|value| graph.node(value.node));
    let params = operands.filter_map(|node| match &node.op {
        Op::Param(param) if is_weight(param.role) => Some(Wanted {
            name: node.name.clone(),
            shape: param.shape.0.clone(),
            place: place.to_owned(),
            leaf: node
                .name
                .strip_prefix(layer.as_str())
                .unwrap_or(&node.name)
                .trim_start_matches('.')
                .to_owned(),
            last: false,
        }),
        _ => None,
    });
    params.collect()
}

fn is_weight(role: Role) -> bool {
    role.of_network()
}

/// Whether a layer reads what was pooled within its unit. Walks up the first operands, which are the maps.
fn is_gate(graph: &Graph, id: NodeId) -> bool {
    let part = graph.node(id).part;
    if !part.is_unit() {
        return false;
    }
    let mut at = id;
    while let Some(above) = graph.operands(at).first() {
        let node = graph.node(above.node);
        match node.op {
            Op::GlobalAvgPool(_) | Op::GlobalMaxPool(_) => return node.part == part,
            Op::Conv(_)
            | Op::Linear(_)
            | Op::Activate(_)
            | Op::Flatten(_)
            | Op::BatchNorm(_)
            | Op::ScaleShift(_)
                if node.part == part =>
            {
                at = above.node;
            }
            _ => return false,
        }
    }
    false
}

/// The last layer of the head that has weights and is no normalisation.
fn mark_last(tensors: &mut [Wanted]) {
    let head =
        |tensor: &&Wanted| tensor.place.starts_with("head.linear") || tensor.place.starts_with("head.conv");
    let Some(last) = tensors.iter().rev().find(head).map(|tensor| tensor.place.clone()) else { return };
    tensors.iter_mut().filter(|tensor| tensor.place == last).for_each(|tensor| tensor.last = true);
}
