//! The graph in blocks: stem, every unit, head, each with the values that enter it. Blocks that repeat are folded.
//!
//! Parameters with their gradients and updates, and labels, are not drawn, nor are the feature maps that the backward
//! pass reads again: they would hide what the picture is for, the way of the data.

use std::collections::HashMap;

use resnetc_compiler::ir::graph::{Graph, Mode, Node, NodeId};
use resnetc_compiler::ir::op::Op;
use resnetc_compiler::ir::origin::{Origin, Part};
use resnetc_compiler::ir::recompute::AGAIN;
use resnetc_compiler::report::UnitRow;

use super::label::{self, Kind};
use super::subject::{Fold, Subject};
use crate::report::units::{grouped, si};

/// An operator of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it computes, a part for each operator that was fused into it.
    pub parts: Vec<String>,
    /// Path within the block.
    pub name: String,
    /// Shape of the result.
    pub shape: String,
    /// Colour group.
    pub kind: Kind,
    /// Everything that is known of it.
    pub tooltip: String,
    /// `file:line` of the spec that wrote it.
    pub line: Option<String>,
}

/// A value that enters a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Shape of the value.
    pub shape: String,
    /// Where it comes from, unless that is the result of the block before.
    pub from: Option<String>,
}

/// Operators that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The part of the network that it is, the first of them where blocks are folded.
    pub part: Part,
    /// Whether it belongs to the backward pass.
    pub backward: bool,
    /// Paths of the units in it: `stage1.unit0`; more than one where blocks are folded.
    pub units: Vec<String>,
    /// Whether it has a frame; the input and the loss have none.
    pub framed: bool,
    /// What enters.
    pub ports: Vec<Port>,
    /// The operators, operands before users.
    pub items: Vec<Item>,
    /// From a port or an item to an item. Numbers count ports, then items.
    pub edges: Vec<(usize, usize)>,
    /// What stands under the name, a line each.
    pub facts: Vec<String>,
    /// `file:line` of the stage in the spec.
    pub line: Option<String>,
}

impl Block {
    /// `stage3.unit1 - unit35`
    pub fn title(&self) -> String {
        let (first, last) = (&self.units[0], &self.units[self.units.len() - 1]);
        match last.rsplit_once('.') {
            Some((_, end)) if first != last => format!("{first} \u{2013} {end}"),
            _ => first.clone(),
        }
    }

    /// How many units it stands for; a transition is none.
    pub fn count(&self) -> usize {
        self.units.iter().filter(|name| name.contains(".unit")).count()
    }

    /// The stage that it belongs to; none of stem and head, nor in the backward pass.
    pub fn stage(&self) -> Option<usize> {
        self.part.stage().filter(|_| !self.backward)
    }

    /// Whether two blocks are drawn the same, their names aside.
    fn like(&self, other: &Block) -> bool {
        let look = |b: &Block| -> Vec<_> {
            b.items.iter().map(|i| (i.parts.clone(), i.name.clone(), i.shape.clone(), i.kind)).collect()
        };
        let foreign = |b: &Block| b.ports.iter().any(|port| port.from.is_some());
        self.stage().is_some()
            && self.stage() == other.stage()
            && !foreign(self)
            && !foreign(other)
            && self.ports == other.ports
            && self.edges == other.edges
            && look(self) == look(other)
    }
}

/// The blocks of a graph in the order of execution, folded as asked.
pub fn blocks(subject: &Subject<'_>, fold: Fold) -> Vec<Block> {
    let blocks = unfolded(subject);
    match fold {
        Fold::None => blocks,
        Fold::Units => fold_runs(subject, blocks),
        Fold::Stages => fold_stages(subject, blocks),
    }
}

fn unfolded(subject: &Subject<'_>) -> Vec<Block> {
    let graph = subject.graph;
    let ids = drawn(graph);
    let mut members: Vec<(String, Vec<NodeId>)> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for &id in &ids {
        let (region, _) = region(graph.node(id));
        let number = *numbers.entry(region.clone()).or_insert(members.len());
        match members.get_mut(number) {
            Some((_, nodes)) => nodes.push(id),
            None => members.push((region, vec![id])),
        }
    }
    let rows = Rows::of(subject);
    let mut last = None;
    let block = |(name, nodes): &(String, Vec<NodeId>)| {
        let block = build(subject, &rows, name, nodes, last);
        last = nodes.last().copied();
        block
    };
    members.iter().map(block).collect()
}

/// One block. `before` is the result of the block before it.
fn build(
    subject: &Subject<'_>,
    rows: &Rows<'_>,
    name: &str,
    nodes: &[NodeId],
    before: Option<NodeId>,
) -> Block {
    let graph = subject.graph;
    let index: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(i, &id)| (id, i)).collect();
    let mut sources: Vec<NodeId> = Vec::new();
    let mut ports: HashMap<NodeId, usize> = HashMap::new();
    let mut links = Vec::new();
    for (to, &id) in nodes.iter().enumerate() {
        for from in operands(graph, id) {
            if !index.contains_key(&from) && !ports.contains_key(&from) {
                ports.insert(from, sources.len());
                sources.push(from);
            }
            links.push((from, to));
        }
    }
    let place = |from: &NodeId| match ports.get(from) {
        Some(&port) => port,
        None => sources.len() + index[from],
    };
    let edges = links.iter().map(|(from, to)| (place(from), sources.len() + to)).collect();
    let port = |&source: &NodeId| Port {
        shape: shape(graph, source),
        from: (Some(source) != before).then(|| graph.node(source).name.clone()),
    };
    let first = graph.node(nodes[0]);
    Block {
        part: first.part,
        backward: first.origin != Origin::Forward,
        units: vec![name.to_owned()],
        framed: nodes.iter().any(|&id| graph.node(id).name != name),
        ports: sources.iter().map(port).collect(),
        items: nodes.iter().map(|&id| item(subject, id)).collect(),
        edges,
        facts: facts(&rows.named(&[name.to_owned()])),
        line: stage_line(subject, first),
    }
}

/// The operands that are drawn. Of the edges from the forward into the backward pass only the loss' is.
fn operands(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let backward = label::kind(graph.node(id)) == Kind::Backward;
    let of_loss = matches!(graph.node(id).op, Op::CrossEntropyBackward(_) | Op::TargetLossBackward(_));
    let shown = |&from: &NodeId| {
        let saved = backward && label::kind(graph.node(from)) != Kind::Backward;
        !beside_the_data(&graph.node(from).op) && (!saved || of_loss)
    };
    graph.operands(id).into_iter().map(|value| value.node).filter(shown).collect()
}

/// The nodes to draw, operands before users.
fn drawn(graph: &Graph) -> Vec<NodeId> {
    graph.ids().filter(|&id| !beside_the_data(&graph.node(id).op)).collect()
}

/// Parameters, what is done with them, and labels.
fn beside_the_data(op: &Op) -> bool {
    matches!(
        op,
        Op::Param(_)
            | Op::Labels(_)
            | Op::Partners(_)
            | Op::Teacher(_)
            | Op::ConvBackwardFilter(_)
            | Op::LinearBackwardFilter(_)
            | Op::ChannelSum(_)
            | Op::Update(_)
    )
}

fn shape(graph: &Graph, id: NodeId) -> String {
    let Some(ty) = graph.node(id).types.first() else { return String::new() };
    let dims = ty.shape.0.get(1..).unwrap_or_default();
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("\u{d7}")
}

fn item(subject: &Subject<'_>, id: NodeId) -> Item {
    let node = subject.graph.node(id);
    let title = label::title(&node.op);
    let shape = shape(subject.graph, id);
    let line = subject.sources.place(node.span);
    let history: String = node.history.iter().map(|sentence| format!("\n{sentence}")).collect();
    let place = line.as_ref().map(|place| format!("\n{place}")).unwrap_or_default();
    let (_, rest) = region(node);
    Item {
        parts: title.split(" + ").map(str::to_owned).collect(),
        name: rest,
        tooltip: format!("{}\n{title}\n{shape}{history}{place}", node.name),
        shape,
        kind: label::kind(node),
        line,
    }
}

/// The block that a node lies in and its path there: `stage1.unit0`, `conv1`; of `stem.conv`: `stem`, `conv`; of
/// `grad.stem.conv`: `grad.stem`, `conv`.
fn region(node: &Node) -> (String, String) {
    if node.part == Part::Network {
        return (node.name.clone(), node.name.clone());
    }
    let (prefix, path) = match node.origin {
        Origin::Gradient { .. } => ("grad.", node.name.strip_prefix("grad.").unwrap_or(&node.name)),
        Origin::Again { .. } => (AGAIN, node.name.strip_prefix(AGAIN).unwrap_or(&node.name)),
        Origin::Forward | Origin::Update { .. } => ("", node.name.as_str()),
    };
    (format!("{prefix}{}", node.part), node.part.local(path).to_owned())
}

fn stage_line(subject: &Subject<'_>, node: &Node) -> Option<String> {
    let number = node.part.stage().filter(|_| node.origin == Origin::Forward)?;
    let stage = subject.spec.stages.get(number.checked_sub(1)?)?;
    subject.sources.place(stage.span)
}

/// The figures of all units, by their names.
struct Rows<'a>(HashMap<&'a str, &'a UnitRow>);

impl<'a> Rows<'a> {
    fn of(subject: &Subject<'a>) -> Self {
        Rows(subject.summary.units.iter().map(|row| (row.name.as_str(), row)).collect())
    }

    fn named(&self, units: &[String]) -> Vec<&'a UnitRow> {
        units.iter().filter_map(|name| self.0.get(name.as_str()).copied()).collect()
    }
}

/// `bottleneck`, `1,117,184 params, 218 M MACs`
fn facts(rows: &[&UnitRow]) -> Vec<String> {
    // A transition stands before the units of its stage, which give the kind.
    let unit = rows.iter().find(|row| row.part.is_unit());
    let Some(first) = unit.or(rows.first()) else { return Vec::new() };
    let sum = |of: fn(&UnitRow) -> u64| rows.iter().map(|row| of(row)).sum();
    let figures = format!("{} params \u{b7} {} MACs", grouped(sum(|r| r.params)), si(sum(|r| r.macs)));
    match first.part.stage().is_some() {
        true => vec![first.kind.clone(), figures],
        false => vec![figures],
    }
}

/// Joins neighbours that look the same.
fn fold_runs(subject: &Subject<'_>, blocks: Vec<Block>) -> Vec<Block> {
    let mut folded: Vec<Block> = Vec::new();
    for block in blocks {
        match folded.last_mut() {
            Some(last) if last.like(&block) => last.units.extend(block.units),
            _ => folded.push(block),
        }
    }
    let rows = Rows::of(subject);
    for block in folded.iter_mut().filter(|block| block.units.len() > 1) {
        block.facts = facts(&rows.named(&block.units));
    }
    folded
}

/// Joins the blocks of a stage, without their operators.
fn fold_stages(subject: &Subject<'_>, blocks: Vec<Block>) -> Vec<Block> {
    let mut folded: Vec<Block> = Vec::new();
    for mut block in blocks {
        match folded.last_mut() {
            Some(last) if block.stage().is_some() && last.stage() == block.stage() => {
                last.units.append(&mut block.units);
                last.items = block.items.split_off(block.items.len() - 1);
            }
            _ => folded.push(block),
        }
    }
    let rows = Rows::of(subject);
    for block in folded.iter_mut().filter(|block| block.stage().is_some()) {
        // The last operator stays as the carrier of the result's shape; nothing of it is drawn.
        block.items.drain(..block.items.len() - 1);
        (block.ports, block.edges) = (Vec::new(), Vec::new());
        block.facts = facts(&rows.named(&block.units));
        block.facts[0] = format!("{} \u{d7} {}", block.count(), block.facts[0]);
        block.facts.push(format!("to {}", block.items[0].shape));
    }
    folded
}

/// Most blocks that are drawn on one page unless asked for.
const FOLD_FROM: usize = 24;

impl Fold {
    /// The least folding with which the picture fits on a page.
    pub fn automatic(subject: &Subject<'_>) -> Fold {
        let fits = |most: usize| move |fold: &Fold| blocks(subject, *fold).len() <= most;
        [Fold::None, Fold::Units].into_iter().find(fits(FOLD_FROM)).unwrap_or(match subject.graph.mode {
            Mode::Infer => Fold::Stages,
            Mode::Train => Fold::Units,
        })
    }
}
