//! The graph: nodes are operators, edges carry values from a result (`port`) of one node to an operand of another.

use std::fmt;

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use super::clip::Clip;
use super::loss_scale::LossScale;
use super::op::Op;
use super::origin::{Origin, Part};
use super::ranks::Ranks;
use super::step_kind::StepKind;
use super::types::{DType, TensorType};
use crate::source::Span;

/// Handle of a node while the graph lives. Never printed: names persist, ids do not.
pub type NodeId = NodeIndex<u32>;

/// One result of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// Who computes it.
    pub node: NodeId,
    /// Which of the node's results.
    pub port: u8,
}

impl From<NodeId> for Value {
    /// The node's first result.
    fn from(node: NodeId) -> Self {
        Value { node, port: 0 }
    }
}

/// Use of a result as an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Which of the source's results.
    pub port: u8,
    /// Which of the target's operands.
    pub operand: u8,
}

/// An operator in the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Spec path, unique: `stage3.unit0.conv1`. Kept by every pass.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The text it came from; fused and backward nodes inherit it.
    pub span: Span,
    /// Types of the results; empty before the stage `Typed`.
    pub types: Vec<TensorType>,
    /// The part of the network that it belongs to; gradients and updates belong to their forward node's.
    pub part: Part,
    /// Why it is there.
    pub origin: Origin,
    /// Names of the nodes that were fused into it.
    pub absorbed: Vec<String>,
    /// What passes did to it and why, one sentence each: `projection: 256 -> 512 channels, stride 2, rule B`.
    pub history: Vec<String>,
}

/// How far a graph has come. Each stage has its legal operators and invariants (see `verify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// As the spec says; no types.
    Built,
    /// Every result has a type.
    Typed,
    /// No `Shortcut` left.
    Expanded,
    /// Epilogues and folded parameters allowed.
    Fused,
    /// Backward operators and updates allowed.
    Differentiated,
    /// Every feature map and weight has its layout in memory.
    LaidOut,
}

/// What a graph is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Forward with running statistics.
    Infer,
    /// Forward with batch statistics, loss, backward, update.
    Train,
}

/// The network as a graph.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Name of the network.
    pub name: String,
    /// What it is compiled for.
    pub mode: Mode,
    /// What convolutions and linear layers round their factors to; sums, statistics and weights are `f32` always.
    pub precision: DType,
    /// Whether factors in `f32` may be rounded to TF32.
    pub tf32: bool,
    /// Whether kernels have to give the same bits each time.
    pub deterministic: bool,
    /// The factor that the gradient of the loss is multiplied with, and updates divide by; in training alone.
    pub loss_scale: Option<LossScale>,
    /// What is done to all gradients before the updates, in order; none in inference.
    pub clip: Vec<Clip>,
    /// What a training step is for.
    pub step: StepKind,
    /// Whether several batches make one update: their gradients are summed.
    pub accumulates: bool,
    /// Whether updates are followed by an average of parameters and running statistics; in training alone.
    pub average: bool,
    /// The processes that share the training, where there are several; in training alone.
    pub ranks: Option<Ranks>,
    /// How far it has come.
    pub stage: Stage,
    /// Named results, kept alive: `logits`; in training also `loss` and `correct`.
    pub outputs: Vec<(String, Value)>,
    nodes: StableDiGraph<Node, Edge>,
}

impl Graph {
    /// An empty graph in the stage [`Stage::Built`].
    pub fn new(name: impl Into<String>, mode: Mode) -> Self {
        Graph {
            name: name.into(),
            mode,
            precision: DType::F32,
            tf32: false,
            deterministic: true,
            loss_scale: None,
            clip: Vec::new(),
            step: StepKind::Update,
            accumulates: false,
            average: false,
            ranks: None,
            stage: Stage::Built,
            outputs: Vec::new(),
            nodes: StableDiGraph::default(),
        }
    }

    /// Adds a node whose operands are the given values, in order. The name must be new.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        span: Span,
        operands: &[Value],
    ) -> NodeId {
        let node = Node {
            name: name.into(),
            op: op.into(),
            span,
            types: Vec::new(),
            part: Part::Network,
            origin: Origin::Forward,
            absorbed: Vec::new(),
            history: Vec::new(),
        };
        let id = self.nodes.add_node(node);
        self.connect(id, operands);
        id
    }

    /// Replaces the operands of a node.
    pub(crate) fn set_operands(&mut self, id: NodeId, operands: &[Value]) {
        let old: Vec<_> = self.nodes.edges_directed(id, Direction::Incoming).map(|e| e.id()).collect();
        for edge in old {
            self.nodes.remove_edge(edge);
        }
        self.connect(id, operands);
    }

    fn connect(&mut self, id: NodeId, operands: &[Value]) {
        for (operand, value) in operands.iter().enumerate() {
            let operand = u8::try_from(operand).expect("no operator has 256 operands");
            self.nodes.add_edge(value.node, id, Edge { port: value.port, operand });
        }
    }

    /// Redirects every use of one value, outputs of the graph included, to another.
    pub(super) fn redirect(&mut self, from: Value, to: Value) {
        let uses: Vec<_> = self
            .nodes
            .edges_directed(from.node, Direction::Outgoing)
            .filter(|e| e.weight().port == from.port)
            .map(|e| (e.id(), e.target(), e.weight().operand))
            .collect();
        for (edge, user, operand) in uses {
            self.nodes.remove_edge(edge);
            self.nodes.add_edge(to.node, user, Edge { port: to.port, operand });
        }
        for (_, value) in self.outputs.iter_mut().filter(|(_, value)| *value == from) {
            *value = to;
        }
    }

    /// Puts the nodes of `order`, operands before users, into a fresh graph, so that ids ascend without gaps and
    /// insertion order is an order of execution again. Nodes not in `order` are dropped; nobody kept may use them.
    pub(super) fn reordered(mut self, order: &[NodeId]) -> Graph {
        let operands: Vec<Vec<Value>> = order.iter().map(|&id| self.operands(id)).collect();
        let mut renamed = vec![NodeId::end(); self.bound()];
        let moved = |renamed: &[NodeId], value: Value| {
            let node = renamed[value.node.index()];
            assert!(node != NodeId::end(), "a value is used whose node was removed or comes later");
            Value { node, port: value.port }
        };
        let mut nodes = StableDiGraph::with_capacity(order.len(), self.nodes.edge_count());
        for &id in order {
            let node = self.nodes.remove_node(id).expect("each node is in the order once");
            renamed[id.index()] = nodes.add_node(node);
        }
        let outputs = self.outputs.into_iter().map(|(name, v)| (name, moved(&renamed, v))).collect();
        let mut graph = Graph {
            name: self.name,
            mode: self.mode,
            precision: self.precision,
            tf32: self.tf32,
            deterministic: self.deterministic,
            loss_scale: self.loss_scale,
            clip: self.clip.clone(),
            step: self.step,
            accumulates: self.accumulates,
            average: self.average,
            ranks: self.ranks,
            stage: self.stage,
            outputs,
            nodes,
        };
        for (id, operands) in order.iter().zip(&operands) {
            let operands: Vec<Value> = operands.iter().map(|&v| moved(&renamed, v)).collect();
            graph.connect(renamed[id.index()], &operands);
        }
        graph
    }

    /// The node behind an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node behind an id, to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    /// All nodes in order of insertion, which is an order of execution: operands come before their users.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.node_indices()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A node's operands in order.
    pub fn operands(&self, id: NodeId) -> Vec<Value> {
        let mut edges: Vec<_> = self
            .nodes
            .edges_directed(id, Direction::Incoming)
            .map(|e| (e.weight().operand, Value { node: e.source(), port: e.weight().port }))
            .collect();
        edges.sort_by_key(|&(operand, _)| operand);
        edges.into_iter().map(|(_, value)| value).collect()
    }

    /// Who uses a value, with the operand's index; outputs of the graph not counted.
    pub fn users(&self, value: Value) -> Vec<(NodeId, u8)> {
        let mut users: Vec<_> = self
            .nodes
            .edges_directed(value.node, Direction::Outgoing)
            .filter(|e| e.weight().port == value.port)
            .map(|e| (e.target(), e.weight().operand))
            .collect();
        users.sort();
        users
    }

    /// The only use of a value; `None` where it has none, several, or is an output of the graph.
    pub fn sole_user(&self, value: Value) -> Option<NodeId> {
        let mut edges = self
            .nodes
            .edges_directed(value.node, Direction::Outgoing)
            .filter(|e| e.weight().port == value.port);
        let user = edges.next()?.target();
        (edges.next().is_none() && !self.is_output(value)).then_some(user)
    }

    /// Whether a value is a named result of the graph.
    pub fn is_output(&self, value: Value) -> bool {
        self.outputs.iter().any(|&(_, v)| v == value)
    }

    /// The value of a named result.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|(n, _)| n == name).map(|&(_, value)| value)
    }

    /// One more than the largest index of a node, for tables by node.
    pub fn bound(&self) -> usize {
        self.nodes.node_indices().next_back().map_or(0, |id| id.index() + 1)
    }

    /// Type of a value; `None` before types were inferred.
    pub fn value_type(&self, value: Value) -> Option<&TensorType> {
        self.node(value.node).types.get(value.port as usize)
    }

    /// The petgraph underneath, for its algorithms.
    pub fn petgraph(&self) -> &StableDiGraph<Node, Edge> {
        &self.nodes
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Infer => "infer",
            Mode::Train => "train",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Built => "built",
            Stage::Typed => "typed",
            Stage::Expanded => "expanded",
            Stage::Fused => "fused",
            Stage::Differentiated => "differentiated",
            Stage::LaidOut => "laid_out",
        })
    }
}
