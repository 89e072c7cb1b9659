//! The graph while it is built: its nodes within the limits, their names and types.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::origin::Part;
use crate::ir::types::TensorType;
use crate::ops;
use crate::source::Span;
use crate::spec::ResolvedSpec;
use crate::spec::language::place::Place;
use crate::spec::language::tree::Name;

pub(super) type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// A feature map while building.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map {
    pub(super) value: Value,
    pub(super) channels: usize,
}

/// What a name of a unit stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    Number(f64),
    Map(Map),
    /// The unit's input, yet to go through the shortcut rule.
    Shortcut,
}

/// What the names of a unit stand for.
pub(super) type Scope = HashMap<String, Item>;

/// The term of a sum that gives the shortcut its shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Like {
    pub(super) map: Map,
    pub(super) span: Span,
    /// `shortcut` itself, once it was built for this term.
    pub(super) made: Option<Map>,
}

/// A feature map that a unit binds.
#[derive(Debug)]
pub(super) struct Bound<'s> {
    pub(super) name: &'s Name,
    pub(super) node: NodeId,
}

/// Names for numbers.
pub(super) fn numbers<const N: usize>(values: [(&str, f64); N]) -> Scope {
    values.into_iter().map(|(name, value)| (name.to_string(), Item::Number(value))).collect()
}

pub(super) struct Builder<'s> {
    pub(super) spec: &'s ResolvedSpec,
    pub(super) graph: Graph,
    pub(super) batch: usize,
    /// Numbers in all parameters, and in all feature maps of one image.
    pub(super) params: usize,
    pub(super) activations: usize,
    /// Types of the nodes' results, where no mistake stands before them.
    pub(super) types: Vec<Option<Vec<TensorType>>>,
    /// Place of the unit being built.
    pub(super) place: Option<Place>,
    /// The term that gives the shortcut its shape, while another term of its sum is built.
    pub(super) like: Option<Like>,
    /// The part being built.
    pub(super) part: Part,
    /// What its nodes' names begin with, `stage1.unit0`.
    pub(super) region: String,
    pub(super) counts: HashMap<&'static str, usize>,
    /// Whether a normalisation in front of a shortcut starts with scale 0.
    pub(super) zeroed: bool,
    /// What the units before the last result bind.
    pub(super) bound: Vec<Bound<'s>>,
}

impl<'s> Builder<'s> {
    /// A builder of an empty graph.
    pub(super) fn new(spec: &'s ResolvedSpec, mode: Mode, batch: usize) -> Self {
        let mut graph = Graph::new(spec.name.value.clone(), mode);
        graph.precision = spec.train.precision;
        graph.tf32 = spec.train.rounds_to_tf32();
        graph.deterministic = spec.train.deterministic;
        graph.loss_scale = spec.train.scale().filter(|_| mode == Mode::Train);
        if mode == Mode::Train {
            graph.clip = spec.train.clip.clone();
            graph.accumulates = spec.train.accumulate > 1;
            graph.average = spec.train.averages();
        }
        Builder {
            spec,
            graph,
            batch: batch.max(1),
            params: 0,
            activations: 0,
            types: Vec::new(),
            place: None,
            like: None,
            part: Part::Network,
            region: String::new(),
            counts: HashMap::new(),
            zeroed: false,
            bound: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, part: Part) {
        self.part = part;
        self.region = part.to_string();
        self.counts.clear();
    }

    pub(super) fn node(
        &mut self,
        kind: &'static str,
        op: Op,
        span: Span,
        operands: &[Value],
    ) -> Result<NodeId> {
        let name = self.name(kind);
        self.insert(name, op, span, operands)
    }

    /// Adds a node within the limits, and the types of its results where those of its operands are known. Operands that
    /// do not fit are left to shape inference, which reports all of them at once.
    pub(super) fn insert(&mut self, name: String, op: Op, span: Span, operands: &[Value]) -> Result<NodeId> {
        let limits = &self.spec.limits;
        if self.graph.len() >= limits.nodes {
            let text = format!("`{name}` is one too many");
            let fault = Diagnostic::error("the network has too many nodes", span, text);
            return Err(Box::new(fault.help(limits.way_out("nodes"))));
        }
        let known: Option<Vec<&TensorType>> = operands.iter().map(|&value| self.type_of(value)).collect();
        let types = known.and_then(|known| ops::infer(&op, self.graph.mode, &known).ok());
        let source = matches!(op, Op::Param(_) | Op::Labels(_) | Op::Partners(_) | Op::Teacher(_));
        let size = types.iter().flatten().map(|t| t.shape.numel()).try_fold(0usize, |a, n| a.checked_add(n?));
        if !source {
            let total = size.and_then(|size| self.activations.checked_add(size / self.batch));
            let Some(total) = total.filter(|&total| total <= limits.activations) else {
                let fault =
                    Diagnostic::error("the feature maps are too large", span, format!("with `{name}`"));
                return Err(Box::new(fault.help(limits.way_out("activations"))));
            };
            self.activations = total;
        }
        let id = self.graph.add(name, op, span, operands);
        self.graph.node_mut(id).part = self.part;
        self.types.resize(id.index() + 1, None);
        self.types[id.index()] = types;
        Ok(id)
    }

    /// Type of a value, where no mistake stands before it.
    pub(super) fn type_of(&self, value: Value) -> Option<&TensorType> {
        self.types.get(value.node.index())?.as_ref()?.get(usize::from(value.port))
    }

    /// The next name of a kind in the region.
    pub(super) fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let alone =
            matches!(kind, "add" | "mul" | "scale" | "concat" | "shortcut") || self.part == Part::Head;
        if alone && *count == 1 {
            format!("{}.{kind}", self.region)
        } else {
            format!("{}.{kind}{count}", self.region)
        }
    }
}
