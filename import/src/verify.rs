//! Whether a spec is the network: both graphs, layer by layer, and which tensor is which.
//!
//! Layers of both graphs get a number each, which is the same for those that do the same to the same. Where the results have the
//! same number, the networks compute the same function of image and tensors.

use std::collections::HashMap;

use resnetc_compiler::ir::attrs::PoolAttrs;
use resnetc_compiler::ir::graph::{Graph, NodeId};
use resnetc_compiler::ir::op::{self, Op as Node};

use crate::fault::{Fault, Result};
use crate::flat::{Flat, Id, Op};

/// Numbers of layers, by what they do and to which.
#[derive(Default)]
struct Classes {
    known: HashMap<(String, Vec<usize>), usize>,
}

impl Classes {
    fn of(&mut self, op: &Op, mut inputs: Vec<usize>) -> usize {
        if matches!(op, Op::Add | Op::Mul) {
            inputs.sort_unstable();
        }
        let next = self.known.len();
        *self.known.entry((key(op), inputs)).or_insert(next)
    }
}

/// What a layer does. A mean without a border counts as none.
fn key(op: &Op) -> String {
    match op {
        Op::AvgPool(attrs) if attrs.padding == [0, 0] && !attrs.ceil => {
            format!("{:?}", Op::AvgPool(PoolAttrs { count_padding: true, ..*attrs }))
        }
        Op::MaxPool(attrs) => format!("{:?}", Op::MaxPool(PoolAttrs { count_padding: true, ..*attrs })),
        op => format!("{op:?}"),
    }
}

/// The names that the compiled network has for the tensors of the imported one, node by node, in the order of [`Op`]'s tensors;
/// empty for nodes without.
pub(crate) type Names = Vec<Vec<String>>;

/// Compares the imported network with the one that its spec became.
pub(crate) fn verify(flat: &Flat, graph: &Graph) -> Result<Names> {
    let mut classes = Classes::default();
    let mut own: Vec<usize> = Vec::new();
    for node in &flat.nodes {
        let inputs = node.inputs.iter().map(|&input| own[input]).collect();
        own.push(classes.of(&node.op, inputs));
    }
    let compiled = compiled(graph, &mut classes);
    let mut by_class: HashMap<usize, Vec<NodeId>> = HashMap::new();
    for &(id, class) in &compiled.layers {
        by_class.entry(class).or_default().push(id);
    }
    if compiled.result != own.last().copied() {
        return Err(first_difference(flat, &own, &by_class));
    }
    names(flat, graph, &own, &by_class)
}

/// The first layer that the spec does not have.
fn first_difference(flat: &Flat, own: &[usize], by_class: &HashMap<usize, Vec<NodeId>>) -> Fault {
    let missing = (1..own.len()).find(|&id| !by_class.contains_key(&own[id]));
    let node = &flat.nodes[missing.unwrap_or(own.len() - 1)];
    let message = format!("the spec that was recovered computes something else from here on ({:?})", node.op);
    Fault::new(&node.place, message)
        .help("nothing was written; this is a limit of the import, worth a report")
}

struct Compiled {
    layers: Vec<(NodeId, usize)>,
    result: Option<usize>,
}

fn compiled(graph: &Graph, classes: &mut Classes) -> Compiled {
    let mut numbers: HashMap<NodeId, usize> = HashMap::new();
    let mut layers = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let inputs = || -> Vec<usize> {
            graph.operands(id).iter().filter_map(|value| numbers.get(&value.node).copied()).collect()
        };
        let class = match &node.op {
            Node::Param(_) => continue,
            Node::Flatten(_) => inputs()[0],
            Node::PadShortcut(pad) => padded(graph, id, pad, inputs()[0], classes),
            op => match simple(op, graph, id) {
                Some(op) => classes.of(&op, inputs()),
                None => continue,
            },
        };
        numbers.insert(id, class);
        // What only hands on has the number of its operand.
        if !matches!(node.op, Node::Flatten(_)) {
            layers.push((id, class));
        }
    }
    let result = graph.output("logits").and_then(|value| numbers.get(&value.node).copied());
    Compiled { layers, result }
}

/// Option A: pixels are skipped, then channels of zeros stand around.
fn padded(graph: &Graph, id: NodeId, pad: &op::PadShortcut, input: usize, classes: &mut Classes) -> usize {
    let map = graph.operands(id).first().and_then(|&value| graph.value_type(value));
    let channels = map.and_then(|ty| ty.shape.nchw()).map_or(0, |[_, c, _, _]| c);
    let mut class = input;
    if pad.stride != [1, 1] {
        class = classes.of(&crate::flat::skip(pad.stride), vec![class]);
    }
    if pad.channels > channels {
        let op = Op::PadChannels { out: pad.channels, before: (pad.channels - channels) / 2 };
        class = classes.of(&op, vec![class]);
    }
    class
}

/// A compiled operator as one of ours.
fn simple(op: &Node, graph: &Graph, id: NodeId) -> Option<Op> {
    let out = || graph.node(id).types.first().and_then(|ty| ty.shape.0.get(1).copied());
    Some(match op {
        Node::Input(_) => Op::Input,
        Node::Conv(conv) => Op::Conv { out: out()?, attrs: conv.attrs, bias: conv.bias },
        Node::BatchNorm(norm) => Op::Norm { eps: norm.eps },
        Node::Activate(activate) => Op::Activate(activate.act),
        Node::MaxPool(pool) => Op::MaxPool(pool.attrs),
        Node::AvgPool(pool) => crate::flat::without_window(Op::AvgPool(pool.attrs)),
        Node::GlobalAvgPool(_) => Op::GlobalAvgPool,
        Node::GlobalMaxPool(_) => Op::GlobalMaxPool,
        Node::Add(_) => Op::Add,
        Node::Mul(_) => Op::Mul,
        Node::Concat(_) => Op::Concat,
        Node::PadChannels(pad) => Op::PadChannels { out: pad.channels, before: pad.before },
        Node::Linear(linear) => Op::Linear { out: out()?, bias: linear.bias },
        _ => return None,
    })
}

/// The compiled names of all tensors.
fn names(flat: &Flat, graph: &Graph, own: &[usize], by_class: &HashMap<usize, Vec<NodeId>>) -> Result<Names> {
    let mut taken: HashMap<usize, Id> = HashMap::new();
    let mut names = Vec::new();
    for (id, node) in flat.nodes.iter().enumerate() {
        let has = matches!(node.op, Op::Conv { .. } | Op::Norm { .. } | Op::Linear { .. });
        if !has {
            names.push(Vec::new());
            continue;
        }
        let [compiled] = by_class.get(&own[id]).map_or(&[][..], Vec::as_slice) else {
            return Err(Fault::new(&node.place, "this layer has a twin: the two cannot be told apart"));
        };
        if let Some(twin) = taken.insert(own[id], id) {
            let message = format!("this layer and that of {:?} cannot be told apart", flat.nodes[twin].place);
            return Err(Fault::new(&node.place, message));
        }
        let operands = graph.operands(*compiled).into_iter().map(|value| graph.node(value.node));
        names.push(
            operands
                .filter(|operand| matches!(operand.op, Node::Param(_)))
                .map(|operand| operand.name.clone())
                .collect(),
        );
    }
    Ok(names)
}
