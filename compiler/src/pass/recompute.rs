//! Lets feature maps go behind their last reader of the forward pass; the backward pass computes them again from those that were
//! kept (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Part by part, as [`Recompute`](crate::ir::recompute)
//! says.
//!
//! Results are the same, bit for bit: the same kernels read the same operands. A batch normalisation takes the statistics that it
//! found the first time, which are small and kept, so running statistics move once; what is random draws by the number of the
//! step, so it draws the same.
//!
//! `again.<node>` computes `<node>`. It runs when nothing else can (`lower/order.rs`), so as late as may be.

use std::collections::{BTreeMap, HashMap};

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{BatchNorm, BatchNormAgain, Op};
use crate::ir::origin::{Origin, Part};
use crate::ir::patch::Patch;
use crate::ir::recompute::{AGAIN, Depth};
use crate::ops::{self, Cost};

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    let mut readers: BTreeMap<NodeId, Vec<Value>> = BTreeMap::new();
    for (&part, &depth) in &context.recompute {
        let again = Again::of(graph, part, depth);
        let copies = again.copy(&mut patch);
        for &value in &again.let_go {
            for (reader, operand) in backward_readers(graph, value) {
                let operands = readers.entry(reader).or_insert_with(|| graph.operands(reader));
                operands[usize::from(operand)] = Value { node: copies[&value.node], port: value.port };
            }
            let sentence = format!("`{}` is let go and computed again ({depth})", graph.value_name(value));
            patch.fired_silently(graph.node(value.node), sentence);
        }
    }
    for (reader, operands) in readers {
        patch.replace(reader, graph.node(reader).op.clone(), &operands);
    }
    Ok(patch)
}

/// Who reads a value in the backward pass.
fn backward_readers(graph: &Graph, value: Value) -> impl Iterator<Item = (NodeId, u8)> {
    let users = graph.users(value).into_iter();
    users.filter(|&(reader, _)| matches!(graph.node(reader).origin, Origin::Gradient { .. }))
}

fn bytes(graph: &Graph, value: Value) -> usize {
    graph.value_type(value).and_then(|ty| ty.bytes()).unwrap_or(0)
}

/// Whether it is a feature map of more than one pixel: what is worth letting go.
fn is_map(graph: &Graph, value: Value) -> bool {
    let sizes = graph.value_type(value).and_then(|ty| ty.shape.nchw());
    sizes.is_some_and(|[_, _, height, width]| height * width > 1)
}

/// What letting maps of one part go comes to.
pub(crate) struct Again<'a> {
    graph: &'a Graph,
    part: Part,
    depth: Depth,
    /// Maps that the backward pass reads and that are not kept for it.
    let_go: Vec<Value>,
    /// The nodes that run again, in order of execution.
    nodes: Vec<NodeId>,
    /// Maps that are kept for these, and were not kept before.
    kept: Vec<Value>,
}

impl<'a> Again<'a> {
    /// Of a graph in the stage `Differentiated`, where nothing is computed again yet.
    pub(crate) fn of(graph: &'a Graph, part: Part, depth: Depth) -> Self {
        let mut again = Again { graph, part, depth, let_go: Vec::new(), nodes: Vec::new(), kept: Vec::new() };
        for id in graph.ids().filter(|&id| graph.node(id).part == part) {
            for port in 0..graph.node(id).types.len() as u8 {
                let value = Value { node: id, port };
                if again.may_go(value) && backward_readers(graph, value).next().is_some() {
                    again.let_go(value);
                }
            }
        }
        again.nodes.sort();
        again
    }

    /// Whether a value is a map that this part makes for itself, by what may be computed again.
    fn may_go(&self, value: Value) -> bool {
        let (graph, node) = (self.graph, self.graph.node(value.node));
        let own = node.part == self.part && node.origin == Origin::Forward && !node.op.is_source();
        let is_light = || self.depth == Depth::Full || cost(graph, value.node).macs == 0;
        let other = |&(reader, _): &(NodeId, u8)| {
            let node = graph.node(reader);
            node.origin == Origin::Forward && node.part != self.part
        };
        own && is_map(graph, value)
            && is_light()
            && !graph.is_output(value)
            && !graph.users(value).iter().any(other)
    }

    /// Lets a map go, if all that it is made from is there, or made again, or worth keeping.
    fn let_go(&mut self, value: Value) {
        let (nodes, kept) = (self.nodes.len(), self.kept.len());
        if self.compute(value.node) {
            self.let_go.push(value);
        } else {
            self.nodes.truncate(nodes);
            self.kept.truncate(kept);
        }
    }

    /// Adds what makes a node's results. `false` where a convolution's map, which is gone, would have to be kept for it.
    fn compute(&mut self, id: NodeId) -> bool {
        if self.nodes.contains(&id) {
            return true;
        }
        self.nodes.push(id);
        for operand in self.graph.operands(id).into_iter().filter(|&value| is_map(self.graph, value)) {
            if self.may_go(operand) {
                if !self.compute(operand.node) {
                    return false;
                }
            } else if backward_readers(self.graph, operand).next().is_none() && !self.kept.contains(&operand)
            {
                let source = self.graph.node(operand.node);
                if source.part == self.part && !source.op.is_source() {
                    return false;
                }
                self.kept.push(operand);
            }
        }
        true
    }

    /// Bytes of maps that are kept less, between forward and backward pass.
    pub(crate) fn saved(&self) -> usize {
        let sum = |values: &[Value]| values.iter().map(|&value| bytes(self.graph, value)).sum::<usize>();
        sum(&self.let_go).saturating_sub(sum(&self.kept))
    }

    /// What running each of the nodes again takes.
    pub(crate) fn costs(&self) -> impl Iterator<Item = Cost> {
        self.nodes.iter().map(|&id| cost(self.graph, id))
    }

    /// Adds the nodes; tells what became of each.
    fn copy(&self, patch: &mut Patch) -> HashMap<NodeId, NodeId> {
        let graph = self.graph;
        let mut copies: HashMap<NodeId, NodeId> = HashMap::new();
        for &id in &self.nodes {
            let node = graph.node(id);
            let source = |value: Value| match copies.get(&value.node).filter(|_| self.may_go(value)) {
                Some(&copy) => Value { node: copy, ..value },
                None => value,
            };
            let operands: Vec<Value> = graph.operands(id).into_iter().map(source).collect();
            let (op, operands) = again(id, &node.op, operands);
            let origin = Origin::Again { of: node.name.clone() };
            let copy = patch.add_as(origin, format!("{AGAIN}{}", node.name), op, node, &operands);
            copies.insert(id, copy);
        }
        copies
    }
}

/// How a node is computed the second time.
fn again(id: NodeId, op: &Op, operands: Vec<Value>) -> (Op, Vec<Value>) {
    match op {
        Op::BatchNorm(BatchNorm { still: false, epilogue, .. }) => {
            // x, scale, shift, running mean, running variance [, residual].
            let [mean, deviation] = [1, 2].map(|port| Value { node: id, port });
            let first = [operands[0], mean, deviation, operands[1], operands[2]];
            let operands = first.into_iter().chain(operands[5..].iter().copied()).collect();
            (BatchNormAgain { epilogue: *epilogue }.into(), operands)
        }
        op => (op.clone(), operands),
    }
}

fn cost(graph: &Graph, id: NodeId) -> Cost {
    let node = graph.node(id);
    let operands = graph.operands(id);
    let types: Vec<_> = operands.iter().filter_map(|&value| graph.value_type(value)).collect();
    ops::cost(&node.op, &types, &node.types)
}
