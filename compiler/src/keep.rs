//! Results of nodes inside a network that a caller wants to see: they become results of the plan, if the plan computes them.
//!
//! Nothing is compiled otherwise for it: a node that was fused into another leaves no map of its own, which is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ir::graph::{Graph, NodeId};
use crate::ir::op::Op;

/// Why a node's result cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKept {
    /// There is no node of that name.
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It is a tensor of weights, which is no result of a run.
    Parameter {
        /// What was asked for.
        name: String,
    },
    /// A kernel computes it together with what follows, and keeps only the end of that.
    Fused {
        /// What was asked for.
        name: String,
        /// The node whose kernel it is.
        host: String,
        /// The node whose result that kernel leaves.
        last: String,
    },
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotKept::Unknown { name } => write!(f, "the network has no node `{name}`"),
            NotKept::Parameter { name } => {
                write!(f, "`{name}` is a tensor of the weights, no result of a run")
            }
            NotKept::Fused { name, host, last } if name == host => {
                write!(f, "`{name}` is not kept: its kernel goes on to `{last}`, whose result is there")
            }
            NotKept::Fused { name, host, last } => write!(
                f,
                "`{name}` is not kept: it was fused into `{host}`, whose kernel leaves the result of `{last}`"
            ),
        }
    }
}

/// The nodes of a network before any of them is fused.
#[derive(Debug)]
pub(crate) struct Names {
    /// Each with the node whose result it hands on unchanged, where it does so in inference.
    nodes: BTreeMap<String, Option<String>>,
    params: BTreeSet<String>,
}

impl Names {
    /// Those of a graph in the stage `Expanded`.
    pub(crate) fn of(graph: &Graph) -> Self {
        let entry = |id: NodeId| {
            let node = graph.node(id);
            let source = matches!(node.op, Op::Drop(_)).then(|| graph.operands(id)[0].node);
            (node.name.clone(), source.map(|source| graph.node(source).name.clone()))
        };
        let is_param = |id: &NodeId| matches!(graph.node(*id).op, Op::Param(_));
        let params = graph.ids().filter(is_param).map(|id| graph.node(id).name.clone()).collect();
        Names { nodes: graph.ids().filter(|id| !is_param(id)).map(entry).collect(), params }
    }

    /// Makes results of a graph, after all passes, of the nodes of those names. A name that is a result already stays what it is.
    pub(crate) fn keep(&self, graph: &mut Graph, names: &[String]) -> Vec<NotKept> {
        let mut missing = Vec::new();
        for name in names {
            // The same name twice is one result.
            if graph.output(name).is_some() {
                continue;
            }
            match self.find(graph, name) {
                Ok(id) => graph.outputs.push((name.clone(), id.into())),
                Err(why) => missing.push(why),
            }
        }
        missing
    }

    /// The node that computes what the one of that name did.
    fn find(&self, graph: &Graph, name: &str) -> Result<NodeId, NotKept> {
        if self.params.contains(name) {
            return Err(NotKept::Parameter { name: name.to_owned() });
        }
        let unknown = || NotKept::Unknown { name: name.to_owned() };
        let mut source = name;
        while let Some(before) = self.nodes.get(source).ok_or_else(unknown)? {
            source = before;
        }
        let inside = |id: &NodeId| {
            let node = graph.node(*id);
            node.name == source || node.absorbed.iter().any(|name| name == source)
        };
        let id = graph.ids().find(inside).ok_or_else(unknown)?;
        let node = graph.node(id);
        match node.absorbed.last().unwrap_or(&node.name) {
            last if last == source => Ok(id),
            last => {
                let (host, last) = (node.name.clone(), last.clone());
                Err(NotKept::Fused { name: name.to_owned(), host, last })
            }
        }
    }
}
