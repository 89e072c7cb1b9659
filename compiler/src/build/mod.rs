//! [`ResolvedSpec`] to a [`Graph`] in the stage `Built`: the only code that sees both.
//!
//! Nodes are named by their place in the spec: region (`stem`, `stage1.unit0`, `head`), then the layer's kind counted
//! from 1 in order of writing (`conv1`, `bn2`, `relu3`). `add`, `mul`, `scale`, `shortcut` and the head's layers carry a
//! number from their second on. Parameters hang below their layer: `stage1.unit0.conv1.weight`. Channels are tracked here, since
//! the shapes of weights depend on them; sizes of images are left to shape inference.

mod expect;
mod layer;
mod shortcut;
mod value;

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Value};
use crate::ir::op::Op;
use crate::source::Span;
use crate::spec::ResolvedSpec;
use crate::spec::resolve::StageSpec;
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

struct Builder<'s> {
    spec: &'s ResolvedSpec,
    graph: Graph,
    params: usize,
    /// Name of the part being built, `stage1.unit0`.
    region: String,
    counts: HashMap<&'static str, usize>,
}

/// Builds the graph for one batch size.
pub fn build(spec: &ResolvedSpec, mode: Mode, batch: usize) -> std::result::Result<Graph, Vec<Diagnostic>> {
    let mut builder = Builder {
        spec,
        graph: Graph::new(spec.name.value.clone(), mode),
        params: 0,
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
        let input =
            self.graph.add("input", Op::Input { shape: [batch, c, h, w].into() }, spec.input.span, &[]);
        let mut map = Map { value: input.into(), channels: c };
        map = self.straight("stem", &spec.stem, map)?;
        for (s, stage) in spec.stages.iter().enumerate() {
            for u in 0..stage.depth {
                self.enter(format!("stage{}.unit{u}", s + 1));
                let stride = if u == 0 { stage.stride } else { 1 };
                map = self.unit(stage, stride, map).map_err(|fault| {
                    let f = stage.filters.map_or(String::new(), |f| format!("f = {f}, "));
                    Box::new(
                        fault
                            .label(stage.span, format!("in stage {}, unit {u}: {f}stride = {stride}", s + 1)),
                    )
                })?;
            }
        }
        map = self.straight("head", &spec.head, map)?;
        self.outputs(map.value, batch);
        Ok(())
    }

    fn outputs(&mut self, logits: Value, batch: usize) {
        self.graph.outputs.push(("logits".into(), logits));
        if self.graph.mode == Mode::Infer {
            return;
        }
        let span = self.spec.classes.span;
        let labels = self.graph.add("labels", Op::Labels { batch }, span, &[]);
        let op = Op::CrossEntropy { smoothing: self.spec.train.label_smoothing };
        let loss = self.graph.add("loss", op, span, &[logits, labels.into()]);
        self.graph.outputs.push(("loss".into(), loss.into()));
        self.graph.outputs.push(("correct".into(), Value { node: loss, port: 1 }));
    }

    fn enter(&mut self, region: String) {
        self.region = region;
        self.counts.clear();
    }

    /// Stem or head: layers after one another.
    fn straight(&mut self, region: &str, calls: &[Call], map: Map) -> Result<Map> {
        self.enter(region.to_string());
        let scope = Scope::from([("classes".to_string(), Item::Number(self.spec.classes.value as f64))]);
        self.pipeline(calls, map, &scope)
    }

    fn unit(&mut self, stage: &StageSpec, stride: usize, x: Map) -> Result<Map> {
        let mut scope = Scope::new();
        scope.insert("x".into(), Item::Map(x));
        scope.insert("shortcut".into(), Item::Shortcut);
        scope.extend(stage.filters.map(|f| ("f".to_string(), Item::Number(f as f64))));
        scope.insert("stride".into(), Item::Number(stride as f64));
        scope.extend(stage.args.iter().map(|(name, value)| (name.clone(), Item::Number(*value))));
        for binding in &stage.unit.bindings {
            let item = self.value(&binding.value, &scope)?;
            scope.insert(binding.name.text.clone(), item);
        }
        match scope.get("out") {
            Some(&Item::Map(map)) => Ok(map),
            _ => unreachable!("the checker found `out` to be a feature map"),
        }
    }

    fn node(&mut self, kind: &'static str, op: Op, span: Span, operands: &[Value]) -> NodeId {
        let name = self.name(kind);
        self.graph.add(name, op, span, operands)
    }

    /// The next name of a kind in the region.
    fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let alone = matches!(kind, "add" | "mul" | "scale" | "shortcut") || self.region == "head";
        if alone && *count == 1 {
            format!("{}.{kind}", self.region)
        } else {
            format!("{}.{kind}{count}", self.region)
        }
    }
}
