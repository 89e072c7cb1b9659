//! The order of execution: topological, and chosen so that little memory is alive at a time.
//!
//! Greedy list scheduling: of all nodes whose operands are there, run the one that raises the fullest step so far least;
//! of several the one that adds least to (or frees most of) the arena; the graph's order decides ties, so the result is
//! deterministic. By the first rule a projection waits until its unit's strided convolution has freed its input. By the
//! second a backward pass runs a convolution's filter gradient, the last reader of a saved feature map, before its data
//! gradient, which can then take the memory over.
//!
//! What the backward pass computes again (`again.<node>`) runs when nothing else can, in the graph's order, where it stands before its
//! first reader: its operands are there from the forward pass on, and each map would be alive from then on.
//!
//! Updates come after everything else: an update writes its parameter in place, so every reader of the parameter
//! has to run before it.

use std::collections::{HashMap, HashSet};

use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::origin::Origin;

/// The nodes that compute something (all but inputs, labels and parameters), each after its operands.
pub fn order(graph: &Graph) -> Vec<NodeId> {
    let mut schedule = Schedule::new(graph);
    let mut ready: Vec<NodeId> = schedule.nodes.keys().copied().filter(|id| schedule.is_ready(*id)).collect();
    let mut order = Vec::with_capacity(schedule.nodes.len());
    // Bytes alive before the next step, and during the fullest one so far.
    let (mut live, mut peak) = (0, 0);
    while let Some(best) = (0..ready.len()).min_by_key(|&i| match graph.node(ready[i]).origin {
        Origin::Again { .. } => (true, 0, 0, ready[i]),
        Origin::Forward | Origin::Gradient { .. } | Origin::Update { .. } => {
            let raises = (live + schedule.needs(ready[i]) - peak).max(0);
            (false, raises, schedule.cost(ready[i]), ready[i])
        }
    }) {
        let id = ready.swap_remove(best);
        order.push(id);
        peak = peak.max(live + schedule.needs(id));
        live += schedule.cost(id);
        schedule.run(id, &mut ready);
    }
    assert_eq!(order.len(), schedule.nodes.len(), "the graph has a cycle");
    order.extend(graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Update(_))));
    order
}

/// What scheduling needs to know of a node.
struct Entry {
    /// Operands that take part in the arena's accounts, without repetition.
    operands: Vec<Value>,
    /// Computing nodes that read a result, without repetition.
    readers: Vec<NodeId>,
    /// Operands' nodes that have not run yet.
    missing: usize,
    /// Bytes of the results that stay in the arena.
    allocates: i64,
}

struct Schedule {
    nodes: HashMap<NodeId, Entry>,
    /// Bytes and remaining readers of each value in the arena that dies with its last reader.
    values: HashMap<Value, (i64, usize)>,
}

impl Schedule {
    fn new(graph: &Graph) -> Self {
        let pinned: HashSet<Value> = graph.outputs.iter().map(|&(_, value)| value).collect();
        let mut schedule = Schedule { nodes: HashMap::new(), values: HashMap::new() };
        for id in graph.ids() {
            let op = &graph.node(id).op;
            if !matches!(op, Op::Update(_) | Op::Param(_)) {
                schedule.add(graph, id, &pinned);
            }
        }
        schedule
    }

    fn add(&mut self, graph: &Graph, id: NodeId, pinned: &HashSet<Value>) {
        let mut allocates = 0;
        let mut readers = Vec::new();
        for (port, ty) in graph.node(id).types.iter().enumerate() {
            let value = Value { node: id, port: port as u8 };
            let users = graph.users(value);
            let is_update = |reader: NodeId| matches!(graph.node(reader).op, Op::Update(_));
            // A parameter's gradient lies outside of the arena; an unused result is gone after its step.
            if users.iter().any(|&(reader, _)| is_update(reader)) {
                readers.extend(users.iter().map(|&(reader, _)| reader).filter(|&reader| !is_update(reader)));
                continue;
            }
            let bytes = ty.bytes().map_or(i64::MAX / 4, |bytes| bytes as i64);
            let mut distinct: Vec<NodeId> = users.iter().map(|&(reader, _)| reader).collect();
            distinct.dedup();
            if pinned.contains(&value) {
                allocates += bytes;
            } else if !distinct.is_empty() {
                allocates += bytes;
                self.values.insert(value, (bytes, distinct.len()));
            }
            readers.extend(distinct);
        }
        if graph.node(id).op.is_source() {
            return;
        }
        readers.sort();
        readers.dedup();
        let mut operands = graph.operands(id);
        operands.sort();
        operands.dedup();
        let mut producers: Vec<NodeId> = operands.iter().map(|value| value.node).collect();
        producers.retain(|&producer| !graph.node(producer).op.is_source());
        producers.dedup();
        self.nodes.insert(id, Entry { operands, readers, missing: producers.len(), allocates });
    }

    fn is_ready(&self, id: NodeId) -> bool {
        self.nodes[&id].missing == 0
    }

    /// Bytes that the arena grows by when the node runs next.
    fn cost(&self, id: NodeId) -> i64 {
        let entry = &self.nodes[&id];
        let freed = entry.operands.iter().filter_map(|value| match self.values.get(value) {
            Some(&(bytes, 1)) => Some(bytes),
            _ => None,
        });
        entry.allocates - freed.sum::<i64>()
    }

    /// Bytes that the arena needs beyond what is alive while the node runs. A result as large as an operand that dies
    /// counts none: most kernels that have such operands may write over them.
    fn needs(&self, id: NodeId) -> i64 {
        let entry = &self.nodes[&id];
        let fits = |&(bytes, readers): &(i64, usize)| readers == 1 && bytes == entry.allocates;
        let in_place = entry.operands.iter().any(|value| self.values.get(value).is_some_and(fits));
        if in_place { 0 } else { entry.allocates }
    }

    /// Accounts for the node's run and adds the nodes that it was the last to hold up.
    fn run(&mut self, id: NodeId, ready: &mut Vec<NodeId>) {
        for value in &self.nodes[&id].operands {
            if let Some((_, readers)) = self.values.get_mut(value) {
                *readers -= 1;
            }
        }
        let readers = self.nodes[&id].readers.clone();
        for reader in readers {
            let entry = self.nodes.get_mut(&reader).expect("readers that are no updates are scheduled");
            entry.missing -= 1;
            if entry.missing == 0 {
                ready.push(reader);
            }
        }
    }
}
