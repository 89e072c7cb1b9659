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

#[cfg(test)]
mod tests {
    use crate::ir::graph::Mode;
    use crate::report::Target;
    use crate::source::SourceMap;
    use crate::spec::limits::Limits;
    use crate::spec::{self, Request};

    const SPEC: &str = "
name: kept
input: [3, 8, 8]
classes: 4
stem: conv3x3(4) -> bn -> relu
unit: mine
stages: [{depth: 1, filters: 4}]
units:
  mine(f): |
    main = x -> bn -> relu -> dropout(0.5) -> conv3x3(f)
    out = main + shortcut
";

    /// What is told of each name that cannot be kept, and the names of the plan's results.
    fn keep(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let none = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_owned()));
        let request =
            Request { name: "<test>", text: SPEC, overrides: &[], read: &none, limits: Limits::default() };
        let spec = spec::load(&request, &mut SourceMap::default()).expect("a right spec");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let compiled = crate::compile_keeping(&spec, &Target::new(Mode::Infer, 2), &names);
        let (compiled, missing) = compiled.expect("a right spec");
        let outputs = compiled.plan.outputs.iter().map(|(name, _)| name.clone()).collect();
        (missing.iter().map(ToString::to_string).collect(), outputs)
    }

    #[test]
    fn what_a_kernel_leaves_is_kept_under_the_name_of_its_last_node() {
        let names = ["stem.relu1", "stage1.unit0.relu1", "stage1.unit0.add", "input", "logits"];
        let (missing, outputs) = keep(&names);
        assert_eq!(missing, Vec::<String>::new());
        assert_eq!(outputs, ["logits", "stem.relu1", "stage1.unit0.relu1", "stage1.unit0.add", "input"]);
    }

    /// A random layer hands on what it gets, so its name is another one for that.
    #[test]
    fn random_layers_are_what_they_read() {
        let (missing, outputs) = keep(&["stage1.unit0.dropout1", "stage1.unit0.dropout1"]);
        assert_eq!(missing, Vec::<String>::new());
        assert_eq!(outputs, ["logits", "stage1.unit0.dropout1"]);
    }

    #[test]
    fn what_is_fused_away_says_what_is_there_instead() {
        let (missing, outputs) = keep(&["stem.conv1", "stem.bn1", "stem.bn1.weight", "stem.bn7"]);
        let told = [
            "`stem.conv1` is not kept: its kernel goes on to `stem.relu1`, whose result is there",
            "`stem.bn1` is not kept: it was fused into `stem.conv1`, whose kernel leaves the result of `stem.relu1`",
            "`stem.bn1.weight` is a tensor of the weights, no result of a run",
            "the network has no node `stem.bn7`",
        ];
        assert_eq!(missing, told);
        assert_eq!(outputs, ["logits"]);
    }
}
