//! What became of each node: where it came from, what every pass did to it and why, which kernel computes it, where its
//! results lie. Nodes that a pass took away are remembered as they were.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::build;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::nearest_of;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::types::TensorType;
use crate::lower;
use crate::ops::{self, Cost};
use crate::pass::{self, PassContext};
use crate::plan::{BufferId, Plan, Step};
use crate::report::Target;
use crate::source::Span;
use crate::spec::ResolvedSpec;

/// A node as it was when it had types for the first time.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Path in the spec.
    pub name: String,
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
    pub added: Option<&'static str>,
    /// The pass that took it away.
    pub removed: Option<&'static str>,
}

/// What a pass said of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `fold-bn`
    pub pass: &'static str,
    /// The node that it was said of.
    pub node: String,
    /// What was done, or why it was not.
    pub sentence: String,
    /// Whether it became a part of the node's history: then the node is left with what the sentence names.
    pub kept: bool,
}

/// A compilation with all that happened on the way.
#[derive(Debug, Clone)]
pub struct Trace {
    /// All nodes there ever were, in order of appearance.
    pub nodes: Vec<Origin>,
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
    nodes: Vec<Origin>,
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
        let told: HashMap<String, usize> =
            graph.ids().map(|id| (graph.node(id).name.clone(), graph.node(id).history.len())).collect();
        let (graph, reports) = pass::run_list(graph, std::slice::from_ref(pass), context)?;
        for id in graph.ids() {
            let node = graph.node(id);
            let before = told.get(&node.name).copied();
            for sentence in node.history.iter().skip(before.unwrap_or(0)) {
                self.say(pass.name, &node.name, sentence, true);
            }
            if self.known.insert(node.name.clone()) {
                self.nodes.push(origin(&graph, id, before.is_none().then_some(pass.name)));
            }
        }
        for (node, sentence) in reports.iter().flat_map(|report| &report.notes) {
            self.say(pass.name, node, sentence, false);
        }
        let left: HashSet<&str> = graph.ids().map(|id| graph.node(id).name.as_str()).collect();
        for node in self.nodes.iter_mut().filter(|node| !left.contains(node.name.as_str())) {
            node.removed.get_or_insert(pass.name);
        }
        Ok(graph)
    }

    fn say(&mut self, pass: &'static str, node: &str, sentence: &str, kept: bool) {
        let said = |event: &Event| event.pass == pass && event.node == node && event.sentence == sentence;
        if !self.events.iter().rev().any(said) {
            self.events.push(Event { pass, node: node.to_owned(), sentence: sentence.to_owned(), kept });
        }
    }
}

fn origin(graph: &Graph, id: NodeId, added: Option<&'static str>) -> Origin {
    let node = graph.node(id);
    let operands: Vec<Value> = graph.operands(id);
    let types: Option<Vec<&TensorType>> = operands.iter().map(|&value| graph.value_type(value)).collect();
    Origin {
        name: node.name.clone(),
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
    pub fn node(&self, name: &str) -> Option<&Origin> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The operators of a part of the network, `stage3.unit0`: its forward ones, parameters left out.
    pub fn part(&self, name: &str) -> Vec<&Origin> {
        let prefix = format!("{}.", name.trim_end_matches('.'));
        let inside = |node: &&Origin| node.name.starts_with(&prefix) && !matches!(node.op, Op::Param(_));
        self.nodes.iter().filter(inside).collect()
    }

    /// What was said of a node, or names it.
    pub fn events(&self, name: &str) -> impl Iterator<Item = &Event> {
        let quoted = format!("`{name}`");
        // What took the node in says so; the same sentence under the node's own name would say it of itself.
        self.events.iter().filter(move |e| (e.node == name) != e.sentence.contains(&quoted))
    }

    /// The node that computes what the given one did: itself, or what took it in. None where nothing has to.
    pub fn host(&self, name: &str) -> Option<&Origin> {
        let mut node = self.node(name)?;
        // Each step goes to a node that outlived the one before.
        for _ in 0..self.nodes.len() {
            if node.removed.is_none() {
                return Some(node);
            }
            let quoted = format!("`{}`", node.name);
            let host =
                self.events.iter().find(|e| e.kept && e.node != node.name && e.sentence.contains(&quoted))?;
            node = self.node(&host.node)?;
        }
        None
    }

    /// Indices of the plan's steps that come from a node: its own, those of its parameters, and in training its gradients
    /// and updates.
    pub fn steps(&self, name: &str) -> Vec<usize> {
        let below = format!("{name}.");
        let own = |step: &str| {
            let step = step.strip_prefix("grad.").or_else(|| step.strip_prefix("update.")).unwrap_or(step);
            let step = step.split(".via.").next().unwrap_or(step);
            step == name || step.starts_with(&below)
        };
        // Gradients are named after whose gradient they are: what a node does backward is what reads its parameters then.
        let backward = |step: &Step| {
            let reads = |id: &BufferId| self.plan.buffer(*id).name.starts_with(&below);
            step.name.starts_with("grad.") && step.inputs.iter().any(reads)
        };
        let steps = self.plan.steps.iter().enumerate();
        steps.filter(|(_, step)| own(&step.name) || backward(step)).map(|(index, _)| index).collect()
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
