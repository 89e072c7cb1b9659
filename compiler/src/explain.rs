//! What became of each node: where it came from, what every pass did to it and why, which kernel computes it, where its
//! results lie. Nodes that a pass took away are remembered as they were.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::build;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::nearest_of;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::origin::{Origin, Part};
use crate::ir::patch::Note;
use crate::ir::types::TensorType;
use crate::lower;
use crate::ops::{self, Cost};
use crate::pass::{self, PassContext, PassId};
use crate::plan::{BufferId, Plan, Step};
use crate::report::Target;
use crate::source::Span;
use crate::spec::ResolvedSpec;

/// A node as it was when it had types for the first time.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Path in the spec.
    pub name: String,
    /// Which part of the network it belongs to.
    pub part: Part,
    /// Why it is there.
    pub origin: Origin,
    /// What it computed.
    pub op: Op,
    /// The text that it came from.
    pub span: Span,
    /// Names of its operands.
    pub operands: Vec<String>,
    /// Types of its results.
    pub types: Vec<TensorType>,
    /// What running it once takes.
    pub cost: Cost,
    /// The pass that added it; none where the spec did.
    pub added: Option<PassId>,
    /// The pass that took it away.
    pub removed: Option<PassId>,
}

/// What a pass said of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which pass.
    pub pass: PassId,
    /// The node that it was said of.
    pub node: String,
    /// What was done, or why it was not.
    pub sentence: String,
    /// The nodes that became a part of this one.
    pub absorbed: Vec<String>,
    /// Whether it became a part of the node's history.
    pub kept: bool,
}

/// A compilation with all that happened on the way.
#[derive(Debug, Clone)]
pub struct Trace {
    /// All nodes there ever were, in order of appearance.
    pub nodes: Vec<Traced>,
    /// All that was said, in order.
    pub events: Vec<Event>,
    /// What came out.
    pub plan: Plan,
}

/// Compiles and keeps watch.
///
/// # Errors
/// All mistakes of the spec that only its shapes show.
pub fn trace(spec: &ResolvedSpec, target: &Target) -> Result<Trace, Vec<Diagnostic>> {
    let context = crate::context(spec, target);
    let mut graph = build::build(spec, target.mode, target.batch)?;
    let mut watch = Watch::default();
    for pass in pass::front().iter().chain(&pass::back(target.mode)) {
        graph = watch.step(graph, pass, &context)?;
    }
    let plan = lower::lower(&graph, &target.backend);
    Ok(Trace { nodes: watch.nodes, events: watch.events, plan })
}

#[derive(Default)]
struct Watch {
    nodes: Vec<Traced>,
    known: HashSet<String>,
    events: Vec<Event>,
}

impl Watch {
    fn step(
        &mut self,
        graph: Graph,
        pass: &pass::Pass,
        context: &PassContext,
    ) -> Result<Graph, Vec<Diagnostic>> {
        let told: HashMap<String, (usize, usize)> = graph.ids().map(|id| told(&graph, id)).collect();
        let (graph, reports) = pass::run_list(graph, std::slice::from_ref(pass), context)?;
        for id in graph.ids() {
            let node = graph.node(id);
            let before = told.get(&node.name).copied();
            let (history, absorbed) = before.unwrap_or((0, 0));
            let absorbed = &node.absorbed[absorbed..];
            for (i, sentence) in node.history[history..].iter().enumerate() {
                let absorbed = absorbed.get(i).cloned().into_iter().collect();
                self.say(Event {
                    pass: pass.id,
                    node: node.name.clone(),
                    sentence: sentence.clone(),
                    absorbed,
                    kept: true,
                });
            }
            if self.known.insert(node.name.clone()) {
                self.nodes.push(traced(&graph, id, before.is_none().then_some(pass.id)));
            }
        }
        for note in reports.into_iter().flat_map(|report| report.notes) {
            let Note { node, sentence, absorbed, .. } = note;
            self.say(Event { pass: pass.id, node, sentence, absorbed, kept: false });
        }
        let left: HashSet<&str> = graph.ids().map(|id| graph.node(id).name.as_str()).collect();
        for node in self.nodes.iter_mut().filter(|node| !left.contains(node.name.as_str())) {
            node.removed.get_or_insert(pass.id);
        }
        Ok(graph)
    }

    fn say(&mut self, event: Event) {
        let said = |e: &Event| (e.pass, &e.node, &e.sentence) == (event.pass, &event.node, &event.sentence);
        if !self.events.iter().rev().any(said) {
            self.events.push(event);
        }
    }
}

/// How much of a node's history, and of what was fused into it, is known.
fn told(graph: &Graph, id: NodeId) -> (String, (usize, usize)) {
    let node = graph.node(id);
    (node.name.clone(), (node.history.len(), node.absorbed.len()))
}

fn traced(graph: &Graph, id: NodeId, added: Option<PassId>) -> Traced {
    let node = graph.node(id);
    let operands: Vec<Value> = graph.operands(id);
    let types: Option<Vec<&TensorType>> = operands.iter().map(|&value| graph.value_type(value)).collect();
    Traced {
        name: node.name.clone(),
        part: node.part,
        origin: node.origin.clone(),
        op: node.op.clone(),
        span: node.span,
        operands: operands.iter().map(|&value| graph.value_name(value)).collect(),
        types: node.types.clone(),
        cost: types.map_or(Cost::default(), |types| ops::cost(&node.op, &types, &node.types)),
        added,
        removed: None,
    }
}

impl Trace {
    /// The node of that name, whatever became of it.
    pub fn node(&self, name: &str) -> Option<&Traced> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The operators of a part of the network, `stage3.unit0`: its forward ones, parameters left out.
    pub fn part(&self, name: &str) -> Vec<&Traced> {
        let prefix = format!("{}.", name.trim_end_matches('.'));
        let inside = |node: &&Traced| node.name.starts_with(&prefix) && !matches!(node.op, Op::Param(_));
        self.nodes.iter().filter(inside).collect()
    }

    /// What was said of a node, and of what took it in.
    pub fn events(&self, name: &str) -> impl Iterator<Item = &Event> {
        // What took the node in says so; the same sentence under the node's own name would say it of itself.
        self.events.iter().filter(move |e| (e.node == name) != e.absorbed.iter().any(|from| from == name))
    }

    /// The node that computes what the given one did: itself, or what took it in. None where nothing has to.
    pub fn host(&self, name: &str) -> Option<&Traced> {
        let mut node = self.node(name)?;
        // Each step goes to a node that outlived the one before.
        for _ in 0..self.nodes.len() {
            if node.removed.is_none() {
                return Some(node);
            }
            let took = |e: &&Event| e.kept && e.node != node.name && e.absorbed.contains(&node.name);
            node = self.node(&self.events.iter().find(took)?.node)?;
        }
        None
    }

    /// Indices of the plan's steps that come from a node: its own, those of its parameters, and in training its gradients
    /// and updates.
    pub fn steps(&self, name: &str) -> Vec<usize> {
        let below = format!("{name}.");
        let inside = |other: &str| other == name || other.starts_with(&below);
        let own = |step: &Step| match self.node(&step.name) {
            Some(node) => inside(node.origin.of().unwrap_or(&node.name)),
            None => inside(&step.name),
        };
        // A gradient belongs to the node whose gradient it is: what a node does backward is what reads its parameters then.
        let backward = |step: &Step| {
            let reads = |id: &BufferId| self.plan.buffer(*id).name.starts_with(&below);
            let node = self.node(&step.name);
            node.is_some_and(|node| node.origin != Origin::Forward) && step.inputs.iter().any(reads)
        };
        let steps = self.plan.steps.iter().enumerate();
        steps.filter(|(_, step)| own(step) || backward(step)).map(|(index, _)| index).collect()
    }

    /// Names near to one that is not there, of nodes and of parts.
    pub fn suggestions(&self, name: &str) -> Vec<&str> {
        let forward = self.nodes.iter().filter(|node| !matches!(node.op, Op::Param(_)));
        let mut names = BTreeSet::new();
        for node in forward {
            let parts = node.name.match_indices('.').map(|(end, _)| &node.name[..end]);
            names.extend(parts.chain([node.name.as_str()]));
        }
        nearest_of(name, names.into_iter(), 3)
    }
}
