//! The network from its input to its results: stem, stages and their units, head, loss.

use super::builder::{Bound, Builder, Item, Map, Result, numbers};
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Mode, Value};
use crate::ir::op::{CrossEntropy, Input, Labels, Op, Partners, TargetLoss, Teacher};
use crate::ir::origin::Part;
use crate::ir::types::Shape;
use crate::spec::language::place::Place;
use crate::spec::language::tree::Call;
use crate::spec::language::variables;
use crate::spec::sections::stages::UnitSpec;

impl<'s> Builder<'s> {
    /// All nodes, and what the network's results are.
    pub(super) fn network(&mut self, batch: usize) -> Result<()> {
        let spec = self.spec;
        let [c, h, w] = spec.input.value;
        let op = Op::Input(Input { shape: [batch, c, h, w].into() });
        let input = self.insert("input".into(), op, spec.input.span, &[])?;
        let mut results = Vec::new();
        let mut map = Map { value: input.into(), channels: c };
        map = self.straight(Part::Stem, &spec.stem, map)?;
        for (s, stage) in spec.stages.iter().enumerate() {
            if s > 0 && !spec.transition.is_empty() {
                map = self.straight(Part::Transition { stage: s + 1 }, &spec.transition, map)?;
            }
            for unit in &stage.units {
                map = self.unit(unit, map).map_err(|fault| Box::new(in_unit(*fault, unit)))?;
            }
            if spec.outputs.iter().any(|output| output.value == s + 1) {
                results.push((format!("stage{}", s + 1), map.value));
            }
        }
        let logits = match &spec.head.layers {
            Some(layers) => Some(self.logits(layers, map)?),
            None => None,
        };
        self.outputs(logits, results, batch)
    }

    /// The head's result, which has to be one number for each class, in inference as in training. Where a mistake stands
    /// before it, shape inference tells that one.
    fn logits(&mut self, layers: &[Call], map: Map) -> Result<Value> {
        let value = self.straight(Part::Head, layers, map)?.value;
        let classes = &self.spec.classes;
        let Some(shape) = self.type_of(value).map(|ty| &ty.shape) else { return Ok(value) };
        let one = shape.0.get(1..).unwrap_or_default();
        if one == [classes.value] {
            return Ok(value);
        }
        let span = layers.last().map_or(self.spec.head.span, |call| call.span);
        let text = format!("{} for one image", Shape(one.to_vec()));
        let fault = Diagnostic::error("the head does not end in one number for each class", span, text);
        let fault = fault.label(classes.span, format!("{} classes", classes.value));
        Err(Box::new(
            fault.help(match one {
                &[c, 1, 1] if c == classes.value => "end the head with `-> flatten`".to_owned(),
                [_] => "`linear(classes)` gives as many; or correct `classes`".to_owned(),
                _ => "end the head with `global_avgpool -> linear(classes)`; `head: none` gives feature maps"
                    .to_owned(),
            }),
        ))
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
        self.enter(Part::Network);
        let span = self.spec.classes.span;
        let labels = self.insert("labels".into(), Op::Labels(Labels { batch }), span, &[])?;
        let mut operands = vec![logits, labels.into()];
        let op = match self.spec.train.target_loss() {
            None => Op::CrossEntropy(CrossEntropy { smoothing: self.spec.train.label_smoothing }),
            Some(attrs) => {
                if attrs.mixed {
                    let node = self.insert("partners".into(), Partners { batch }.into(), span, &[])?;
                    operands.extend([0, 1].map(|port| Value { node, port }));
                }
                if attrs.distillation.is_some() {
                    let teacher = Teacher { batch, classes: self.spec.classes.value };
                    operands.push(self.insert("teacher".into(), teacher.into(), span, &[])?.into());
                }
                TargetLoss { attrs }.into()
            }
        };
        let loss = self.insert("loss".into(), op, span, &operands)?;
        self.graph.outputs.push(("loss".into(), loss.into()));
        self.graph.outputs.push(("correct".into(), Value { node: loss, port: 1 }));
        Ok(())
    }

    /// Stem, transition or head: layers after one another.
    fn straight(&mut self, part: Part, calls: &[Call], map: Map) -> Result<Map> {
        self.enter(part);
        let values = [self.spec.classes.value, map.channels];
        let scope =
            numbers(std::array::from_fn::<_, 2, _>(|i| (variables::LAYERS[i].name, values[i] as f64)));
        self.pipeline(calls, map, &scope)
    }

    fn unit(&mut self, spec: &'s UnitSpec, x: Map) -> Result<Map> {
        self.enter(Part::Unit { stage: spec.place.stage, unit: spec.place.unit });
        self.place = Some(spec.place);
        let mut scope = numbers(spec.place.values());
        scope.extend(numbers([("channels", x.channels as f64)]));
        scope.insert("x".into(), Item::Map(x));
        scope.insert("shortcut".into(), Item::Shortcut);
        scope.extend(spec.args.iter().map(|(name, value)| (name.clone(), Item::Number(*value))));
        for binding in &spec.unit.bindings {
            let item = self.value(&binding.value, &scope)?;
            if let (Item::Map(map), true) = (item, self.spec.reaches_result(spec.place.stage)) {
                self.bound.push(Bound { name: &binding.name, node: map.value.node });
            }
            scope.insert(binding.name.text.clone(), item);
        }
        match scope.get("out") {
            Some(&Item::Map(map)) => Ok(map),
            _ => unreachable!("the checker found `out` to be a feature map"),
        }
    }
}

/// Adds where a fault lies, which the text of a unit does not say.
fn in_unit(fault: Diagnostic, unit: &UnitSpec) -> Diagnostic {
    let f = unit.arg("f").map_or(String::new(), |f| format!("f = {f}, "));
    let stride = unit.arg("stride").unwrap_or(1.0);
    let Place { stage, unit: index, .. } = unit.place;
    fault.label(unit.span, format!("in stage {stage}, unit {index}: {f}stride = {stride}"))
}
