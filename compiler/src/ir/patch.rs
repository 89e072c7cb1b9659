//! Changes to a graph, collected first and applied at once.
//!
//! A pass reads the graph and returns a [`Patch`]; [`Patch::apply`] is the only code that changes a graph. All changes
//! take effect together: operands named in the patch may be values that the same patch redirects.

use std::collections::{HashMap, HashSet};

use super::graph::{Graph, Node, NodeId, Value};
use super::op::Op;
use super::origin::{Origin, Part};
use super::types::TensorType;
use crate::source::Span;

/// A node to be added.
#[derive(Debug, Clone)]
struct Addition {
    name: String,
    op: Op,
    span: Span,
    part: Part,
    origin: Origin,
    operands: Vec<Value>,
}

/// What a pass says of a node: what it did, or why it did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Name of the node.
    pub node: String,
    /// Where it stands in the network.
    pub part: Part,
    /// What is said.
    pub sentence: String,
    /// The nodes that were fused into it by that.
    pub absorbed: Vec<String>,
}

/// What a pass wants changed, and what it has to say about it.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Index that the first added node will get.
    base: usize,
    added: Vec<Addition>,
    replaced: Vec<(NodeId, Op, Vec<Value>)>,
    redirected: HashMap<Value, Value>,
    removed: HashSet<NodeId>,
    types: Vec<(NodeId, Vec<TensorType>)>,
    absorbed: Vec<(NodeId, String)>,
    history: Vec<(NodeId, String)>,
    notes: Vec<Note>,
    fired: usize,
}

impl Patch {
    /// No change to that graph.
    pub fn new(graph: &Graph) -> Self {
        Patch {
            base: graph.bound(),
            added: Vec::new(),
            replaced: Vec::new(),
            redirected: HashMap::new(),
            removed: HashSet::new(),
            types: Vec::new(),
            absorbed: Vec::new(),
            history: Vec::new(),
            notes: Vec::new(),
            fired: 0,
        }
    }

    /// Adds a forward node under a new name; its results may be used in this patch at once. Text and part of the network are
    /// those of the node that it is made for.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        made_for: &Node,
        operands: &[Value],
    ) -> NodeId {
        self.add_as(Origin::Forward, name, op, made_for, operands)
    }

    /// Adds a node that is there for another reason.
    pub fn add_as(
        &mut self,
        origin: Origin,
        name: impl Into<String>,
        op: impl Into<Op>,
        made_for: &Node,
        operands: &[Value],
    ) -> NodeId {
        let Node { span, part, .. } = *made_for;
        let (name, op, operands) = (name.into(), op.into(), operands.to_vec());
        self.added.push(Addition { name, op, span, part, origin, operands });
        NodeId::new(self.base + self.added.len() - 1)
    }

    /// Gives a node another operator and other operands; name and span stay.
    pub fn replace(&mut self, id: NodeId, op: impl Into<Op>, operands: &[Value]) {
        self.replaced.push((id, op.into(), operands.to_vec()));
    }

    /// Makes every user of `from` use `to`, outputs of the graph included. `to` must not depend on `from`.
    pub fn redirect(&mut self, from: impl Into<Value>, to: impl Into<Value>) {
        self.redirected.insert(from.into(), to.into());
    }

    /// Removes a node that nothing left in the graph uses.
    pub fn remove(&mut self, id: NodeId) {
        self.removed.insert(id);
    }

    /// Sets the types of a node's results.
    pub fn set_types(&mut self, id: NodeId, types: Vec<TensorType>) {
        self.types.push((id, types));
    }

    /// Says what was done: into the node's history (which dumps show) and into the pass's report, there under the name of
    /// `at`.
    pub fn fired(&mut self, id: NodeId, at: &Node, sentence: impl Into<String>) {
        let sentence = sentence.into();
        self.history.push((id, sentence.clone()));
        self.fired_silently(at, sentence);
    }

    /// Says that `from` became a part of `into`, in the words of `did`: `took in`.
    pub fn fused(&mut self, into: NodeId, at: &Node, did: &str, from: &Node) {
        self.fired(into, at, format!("{did} `{}`", from.name));
        self.absorbed.push((into, from.name.clone()));
        let note = self.notes.last_mut().expect("just added");
        note.absorbed.push(from.name.clone());
    }

    /// Says what was done in the pass's report alone: nothing is left that could carry a history, or every node would.
    pub fn fired_silently(&mut self, at: &Node, sentence: impl Into<String>) {
        self.fired += 1;
        self.refused(at, sentence);
    }

    /// Says in the pass's report why nothing was done.
    pub fn refused(&mut self, at: &Node, sentence: impl Into<String>) {
        let note =
            Note { node: at.name.clone(), part: at.part, sentence: sentence.into(), absorbed: Vec::new() };
        self.notes.push(note);
    }

    /// Name of a node of the graph that the patch is for, or of one that the patch adds.
    pub fn name<'a>(&'a self, graph: &'a Graph, id: NodeId) -> &'a str {
        match id.index().checked_sub(self.base) {
            Some(k) => &self.added[k].name,
            None => &graph.node(id).name,
        }
    }

    /// How often the pass changed something.
    pub fn count(&self) -> usize {
        self.fired
    }

    /// Takes the pass's report out.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Applies all changes and puts the nodes in an order of execution. Added and replaced nodes are left without
    /// types.
    ///
    /// # Panics
    /// Where the patch leaves no graph: a cycle, or a removed node in use. That is a fault of the pass.
    pub fn apply(self, mut graph: Graph) -> Graph {
        for (k, node) in self.added.into_iter().enumerate() {
            let id = graph.add(node.name, node.op, node.span, &[]);
            assert_eq!(id.index(), self.base + k, "the patch was made for another graph");
            graph.set_operands(id, &node.operands);
            let added = graph.node_mut(id);
            (added.part, added.origin) = (node.part, node.origin);
        }
        for (id, op, operands) in self.replaced {
            graph.set_operands(id, &operands);
            let node = graph.node_mut(id);
            node.op = op;
            node.types.clear();
        }
        for &from in self.redirected.keys() {
            graph.redirect(from, last(&self.redirected, from));
        }
        for (id, types) in self.types {
            graph.node_mut(id).types = types;
        }
        for (id, name) in self.absorbed {
            graph.node_mut(id).absorbed.push(name);
        }
        for (id, sentence) in self.history {
            graph.node_mut(id).history.push(sentence);
        }
        let order = execution_order(&graph, &self.removed);
        graph.reordered(&order)
    }
}

/// Follows redirections to their end.
fn last(redirected: &HashMap<Value, Value>, mut value: Value) -> Value {
    let mut steps = 0;
    while let Some(&next) = redirected.get(&value) {
        value = next;
        steps += 1;
        assert!(steps <= redirected.len(), "values are redirected in a circle");
    }
    value
}

/// All nodes but the removed, each after its operands and otherwise in order of insertion (depth first, so that a new
/// operand comes right before its first user).
fn execution_order(graph: &Graph, removed: &HashSet<NodeId>) -> Vec<NodeId> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; graph.bound()];
    let mut order = Vec::with_capacity(graph.len());
    let mut stack: Vec<(NodeId, Vec<Value>)> = Vec::new();
    for root in graph.ids().filter(|id| !removed.contains(id)) {
        if marks[root.index()] == Mark::New {
            marks[root.index()] = Mark::Open;
            stack.push((root, reversed_operands(graph, root)));
        }
        while let Some((id, pending)) = stack.last_mut() {
            let Some(operand) = pending.pop() else {
                marks[id.index()] = Mark::Done;
                order.push(*id);
                stack.pop();
                continue;
            };
            let (user, name) = (*id, &graph.node(operand.node).name);
            let user = &graph.node(user).name;
            assert!(!removed.contains(&operand.node), "`{name}` is removed but `{user}` uses it");
            match marks[operand.node.index()] {
                Mark::Done => {}
                Mark::Open => panic!("`{name}` depends on itself through `{user}`"),
                Mark::New => {
                    marks[operand.node.index()] = Mark::Open;
                    stack.push((operand.node, reversed_operands(graph, operand.node)));
                }
            }
        }
    }
    order
}

fn reversed_operands(graph: &Graph, id: NodeId) -> Vec<Value> {
    let mut operands = graph.operands(id);
    operands.reverse();
    operands
}
