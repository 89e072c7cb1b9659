//! [`ResolvedSpec`] to a [`Graph`] in the stage `Built`: the only code that sees both.
//!
//! Nodes are named by their place in the spec: region (`stem`, `stage1.unit0`, `head`), then the layer's kind counted
//! from 1 in order of writing (`conv1`, `bn2`, `relu3`). `add`, `mul`, `scale`, `concat`, `shortcut` and the head's
//! layers carry a number from their second on. Parameters hang below their layer: `stage1.unit0.conv1.weight`. Channels
//! are tracked here, since the shapes of weights depend on them; that sizes of images agree is left to
//! shape inference.

mod expect;
mod layer;
mod shortcut;
mod value;

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::types::TensorType;
use crate::ops;
use crate::source::Span;
use crate::spec::ResolvedSpec;
use crate::spec::place::Place;
use crate::spec::resolve::UnitSpec;
use crate::spec::unit::Call;

pub use expect::check_expect;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// A feature map while building.
#[derive(Debug, Clone, Copy)]
struct Map {
    value: Value,
    channels: usize,
}

/// What a name of a unit stands for.
#[derive(Debug, Clone, Copy)]
enum Item {
    Number(f64),
    Map(Map),
    /// The unit's input, yet to go through the shortcut rule.
    Shortcut,
}

/// What the names of a unit stand for.
type Scope = HashMap<String, Item>;

/// What the shortcut is to be like.
#[derive(Debug, Clone, Copy)]
struct Like {
    map: Map,
    span: Span,
    /// `shortcut` itself, once it was built for this term.
    made: Option<Map>,
}

/// Names for numbers.
fn numbers<const N: usize>(values: [(&str, f64); N]) -> Scope {
    values.into_iter().map(|(name, value)| (name.to_string(), Item::Number(value))).collect()
}

/// Adds where a fault lies, which the text of a unit does not say.
fn in_unit(fault: Diagnostic, unit: &UnitSpec) -> Diagnostic {
    let f = unit.arg("f").map_or(String::new(), |f| format!("f = {f}, "));
    let stride = unit.arg("stride").unwrap_or(1.0);
    let Place { stage, unit: index, .. } = unit.place;
    fault.label(unit.span, format!("in stage {stage}, unit {index}: {f}stride = {stride}"))
}

struct Builder<'s> {
    spec: &'s ResolvedSpec,
    graph: Graph,
    batch: usize,
    /// Numbers in all parameters, and in all feature maps of one image.
    params: usize,
    activations: usize,
    /// Types of the nodes' results, where no mistake stands before them.
    types: Vec<Option<Vec<TensorType>>>,
    /// Place of the unit being built.
    place: Option<Place>,
    /// The term that gives the shortcut its shape, while another term of its sum is built.
    like: Option<Like>,
    /// Name of the part being built, `stage1.unit0`.
    region: String,
    counts: HashMap<&'static str, usize>,
}

/// Builds the graph for one batch size.
pub fn build(spec: &ResolvedSpec, mode: Mode, batch: usize) -> std::result::Result<Graph, Vec<Diagnostic>> {
    let mut graph = Graph::new(spec.name.value.clone(), mode);
    graph.precision = spec.train.precision;
    let mut builder = Builder {
        spec,
        graph,
        batch: batch.max(1),
        params: 0,
        activations: 0,
        types: Vec::new(),
        place: None,
        like: None,
        region: String::new(),
        counts: HashMap::new(),
    };
    builder.network(batch).map_err(|fault| vec![*fault])?;
    Ok(builder.graph)
}

impl Builder<'_> {
    fn network(&mut self, batch: usize) -> Result<()> {
        let spec = self.spec;
        let [c, h, w] = spec.input.value;
        let op = Op::Input { shape: [batch, c, h, w].into() };
        let input = self.insert("input".into(), op, spec.input.span, &[])?;
        let mut results = Vec::new();
        let mut map = Map { value: input.into(), channels: c };
        map = self.straight("stem", &spec.stem, map)?;
        for (s, stage) in spec.stages.iter().enumerate() {
            if s > 0 && !spec.transition.is_empty() {
                map = self.straight(&format!("stage{}.transition", s + 1), &spec.transition, map)?;
            }
            for unit in &stage.units {
                map = self.unit(unit, map).map_err(|fault| Box::new(in_unit(*fault, unit)))?;
            }
            if spec.outputs.iter().any(|output| output.value == s + 1) {
                results.push((format!("stage{}", s + 1), map.value));
            }
        }
        let logits = match &spec.head.layers {
            Some(layers) => Some(self.straight("head", layers, map)?.value),
            None => None,
        };
        self.outputs(logits, results, batch)
    }

    fn outputs(&mut self, logits: Option<Value>, stages: Vec<(String, Value)>, batch: usize) -> Result<()> {
        self.graph.outputs.extend(logits.map(|value| ("logits".to_string(), value)));
        if self.graph.mode == Mode::Infer {
            self.graph.outputs.extend(stages);
            return Ok(());
        }
        let Some(logits) = logits else {
            let span = self.spec.head.span;
            let fault = Diagnostic::error("a network without a head cannot be trained", span, "no logits");
            return Err(Box::new(
                fault.help("write `head: global_avgpool -> linear(classes)`; for inference none is needed"),
            ));
        };
        let span = self.spec.classes.span;
        let labels = self.insert("labels".into(), Op::Labels { batch }, span, &[])?;
        let op = Op::CrossEntropy { smoothing: self.spec.train.label_smoothing };
        let loss = self.insert("loss".into(), op, span, &[logits, labels.into()])?;
        self.graph.outputs.push(("loss".into(), loss.into()));
        self.graph.outputs.push(("correct".into(), Value { node: loss, port: 1 }));
        Ok(())
    }

    fn enter(&mut self, region: String) {
        self.region = region;
        self.counts.clear();
    }

    /// Stem, transition or head: layers after one another.
    fn straight(&mut self, region: &str, calls: &[Call], map: Map) -> Result<Map> {
        self.enter(region.to_string());
        let scope = numbers([("classes", self.spec.classes.value as f64), ("channels", map.channels as f64)]);
        self.pipeline(calls, map, &scope)
    }

    fn unit(&mut self, spec: &UnitSpec, x: Map) -> Result<Map> {
        self.enter(format!("stage{}.unit{}", spec.place.stage, spec.place.unit));
        self.place = Some(spec.place);
        let mut scope = numbers(spec.place.values());
        scope.extend(numbers([("channels", x.channels as f64)]));
        scope.insert("x".into(), Item::Map(x));
        scope.insert("shortcut".into(), Item::Shortcut);
        scope.extend(spec.args.iter().map(|(name, value)| (name.clone(), Item::Number(*value))));
        for binding in &spec.unit.bindings {
            let item = self.value(&binding.value, &scope)?;
            scope.insert(binding.name.text.clone(), item);
        }
        match scope.get("out") {
            Some(&Item::Map(map)) => Ok(map),
            _ => unreachable!("the checker found `out` to be a feature map"),
        }
    }

    fn node(&mut self, kind: &'static str, op: Op, span: Span, operands: &[Value]) -> Result<NodeId> {
        let name = self.name(kind);
        self.insert(name, op, span, operands)
    }

    /// Adds a node within the limits, and the types of its results where those of its operands are known. Operands that
    /// do not fit are left to shape inference, which tells of all of them at once.
    fn insert(&mut self, name: String, op: Op, span: Span, operands: &[Value]) -> Result<NodeId> {
        let limits = &self.spec.limits;
        if self.graph.len() >= limits.nodes {
            let text = format!("`{name}` is one too many");
            let fault = Diagnostic::error("the network has too many nodes", span, text);
            return Err(Box::new(fault.help(limits.way_out("nodes"))));
        }
        let known: Option<Vec<&TensorType>> = operands.iter().map(|&value| self.type_of(value)).collect();
        let types = known.and_then(|known| ops::infer(&op, self.graph.mode, &known).ok());
        let source = matches!(op, Op::Param { .. } | Op::Labels { .. });
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
        self.types.resize(id.index() + 1, None);
        self.types[id.index()] = types;
        Ok(id)
    }

    /// Type of a value, where no mistake stands before it.
    fn type_of(&self, value: Value) -> Option<&TensorType> {
        self.types.get(value.node.index())?.as_ref()?.get(usize::from(value.port))
    }

    /// The next name of a kind in the region.
    fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let alone = matches!(kind, "add" | "mul" | "scale" | "concat" | "shortcut") || self.region == "head";
        if alone && *count == 1 {
            format!("{}.{kind}", self.region)
        } else {
            format!("{}.{kind}{count}", self.region)
        }
    }
}
