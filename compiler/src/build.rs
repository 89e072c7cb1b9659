//! [`ResolvedSpec`] to a [`Graph`] in the stage `Built`: the only code that sees both.
//!
//! Nodes are named by their place in the spec: region (`stem`, `stage1.unit0`, `head`), then the layer's kind counted
//! from 1 in order of writing (`conv1`, `bn2`, `relu3`). `add`, `shortcut` and the head's layers carry a number from
//! their second on. Parameters hang below their layer: `stage1.unit0.conv1.weight`. Channels are tracked here, since
//! the shapes of weights depend on them; sizes of images are left to shape inference.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Value};
use crate::ir::op::{ConvAttrs, Epilogue, Init, Op, Recipe, Role, ShortcutRule};
use crate::ir::types::Shape;
use crate::report::Summary;
use crate::source::Span;
use crate::spec::init::resolve as initial;
use crate::spec::layer::{self, Layer};
use crate::spec::number;
use crate::spec::read::Spanned;
use crate::spec::resolve::StageSpec;
use crate::spec::unit::{Call, Expr, ExprKind};
use crate::spec::{ResolvedSpec, layer::Bound};

/// PyTorch's constants of batch normalisation, for the one behind a projection.
const BN_EPS: f32 = 1e-5;
const BN_MOMENTUM: f32 = 0.1;

/// Most parameters of one network.
const MAX_PARAMS: usize = 1 << 33;

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

/// What of the spec's `expect:` does not hold, each with the figure found.
pub fn check_expect(spec: &ResolvedSpec, summary: &Summary) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut number = |what: &str, expected: &Option<Spanned<u64>>, found: u64| {
        let Some(expected) = expected.as_ref().filter(|e| e.value != found) else { return };
        let more = if found > expected.value { "more" } else { "fewer" };
        let difference = grouped(found.abs_diff(expected.value));
        let fault = Diagnostic::error(
            format!("the network has {} {what}", grouped(found)),
            expected.span,
            format!("{difference} {more} than expected here"),
        );
        faults.push(fault.help("correct the network, or what is expected of it"));
    };
    number("parameters", &spec.expect.params, summary.params);
    number("multiply-accumulates", &spec.expect.macs, summary.macs);
    let found = summary.output_shape.get(1..).unwrap_or_default();
    if let Some(expected) = spec.expect.output.as_ref().filter(|e| e.value != found) {
        let fault = format!("the network's output for one image is {found:?}");
        faults.push(Diagnostic::error(
            fault,
            expected.span,
            format!("{:?} is expected here", expected.value),
        ));
    }
    faults
}

/// `25_557_032`
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
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
        let scope = HashMap::from([("classes".to_string(), Item::Number(self.spec.classes.value as f64))]);
        self.pipeline(calls, map, &scope)
    }

    fn unit(&mut self, stage: &StageSpec, stride: usize, x: Map) -> Result<Map> {
        let mut scope: HashMap<String, Item> = HashMap::new();
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

    fn value(&mut self, expr: &Expr, scope: &HashMap<String, Item>) -> Result<Item> {
        match &expr.kind {
            ExprKind::Call(call) if call.args.is_none() && scope.contains_key(&call.name.text) => {
                Ok(scope[&call.name.text])
            }
            ExprKind::Pipeline(start, calls) => {
                let start = self.map(start, scope)?;
                self.pipeline(calls, start, scope).map(Item::Map)
            }
            ExprKind::Sum(terms) => self.sum(expr, terms, scope),
            ExprKind::Number(_) | ExprKind::Call(_) | ExprKind::Negate(_) | ExprKind::Product(_) => {
                self.number(expr, scope).map(Item::Number)
            }
        }
    }

    fn map(&mut self, expr: &Expr, scope: &HashMap<String, Item>) -> Result<Map> {
        match self.value(expr, scope)? {
            Item::Map(map) => Ok(map),
            Item::Number(_) | Item::Shortcut => unreachable!("the checker found a feature map here"),
        }
    }

    fn number(&self, expr: &Expr, scope: &HashMap<String, Item>) -> Result<f64> {
        number::eval(expr, &|name| match scope.get(name) {
            Some(&Item::Number(value)) => Some(value),
            _ => None,
        })
    }

    fn pipeline(&mut self, calls: &[Call], start: Map, scope: &HashMap<String, Item>) -> Result<Map> {
        calls.iter().try_fold(start, |map, call| {
            let bound: Bound<'_> = layer::bind(call).expect("the checker bound this call");
            let layer = bound.resolve(&mut |expr| self.number(expr, scope))?;
            self.layer(layer, call.span, map)
        })
    }

    /// Terms are built in order of writing and added from the left; the shortcut waits for a term with a shape.
    fn sum(&mut self, expr: &Expr, terms: &[(bool, Expr)], scope: &HashMap<String, Item>) -> Result<Item> {
        let mut items = Vec::new();
        for (_, term) in terms {
            items.push((self.value(term, scope)?, term.span));
        }
        if items.iter().all(|(item, _)| matches!(item, Item::Number(_))) {
            return self.number(expr, scope).map(Item::Number);
        }
        let like = items.iter().find_map(|&(item, span)| match item {
            Item::Map(map) => Some((map, span)),
            Item::Number(_) | Item::Shortcut => None,
        });
        let (like, like_span) = like.expect("the checker found a feature map in this sum");
        let mut total: Option<(Map, Span)> = None;
        for (item, span) in items {
            let term = match item {
                Item::Map(map) => map,
                Item::Shortcut => self.shortcut(scope, like, span, like_span)?,
                Item::Number(_) => unreachable!("the checker found no number in this sum"),
            };
            total = Some(match total {
                None => (term, span),
                Some((left, left_span)) => (self.add(left, left_span, term, span, expr.span)?, left_span),
            });
        }
        let (sum, _) = total.expect("a sum has two terms");
        Ok(Item::Map(sum))
    }

    fn add(&mut self, a: Map, a_span: Span, b: Map, b_span: Span, whole: Span) -> Result<Map> {
        if a.channels != b.channels {
            let fault =
                Diagnostic::error("these cannot be added", a_span, format!("{} channels", a.channels));
            return Err(Box::new(fault.label(b_span, format!("{} channels", b.channels))));
        }
        let node = self.node("add", Op::Add { act: None }, whole, &[a.value, b.value]);
        Ok(Map { value: node.into(), channels: a.channels })
    }

    fn shortcut(
        &mut self,
        scope: &HashMap<String, Item>,
        like: Map,
        span: Span,
        like_span: Span,
    ) -> Result<Map> {
        let Some(&Item::Map(x)) = scope.get("x") else { unreachable!("every unit has an x") };
        let rule = self.spec.shortcut.value;
        let fits = match rule {
            ShortcutRule::Identity => x.channels == like.channels,
            ShortcutRule::Pad => x.channels <= like.channels,
            ShortcutRule::Projection | ShortcutRule::AlwaysProject => true,
        };
        if !fits {
            let fault = Diagnostic::error("these cannot be added", span, format!("{} channels", x.channels))
                .label(like_span, format!("{} channels", like.channels))
                .label(self.spec.shortcut.span, "this rule cannot make them agree");
            return Err(Box::new(
                fault.help("`shortcut: projection` puts a 1x1 convolution where shapes differ"),
            ));
        }
        if self.spec.init.zero_last_bn {
            self.zero_scale(like.value.node);
        }
        let op = Op::Shortcut { rule, bn_eps: BN_EPS, bn_momentum: BN_MOMENTUM, init: self.spec.init.conv };
        let node = self.node("shortcut", op, span, &[x.value, like.value]);
        Ok(Map { value: node.into(), channels: like.channels })
    }

    /// Makes a normalisation start with scale 0; nothing where the node is none.
    fn zero_scale(&mut self, node: NodeId) {
        if !matches!(self.graph.node(node).op, Op::BatchNorm { .. }) {
            return;
        }
        let scale = self.graph.operands(node)[1].node;
        if let Op::Param { init, .. } = &mut self.graph.node_mut(scale).op {
            *init = Init::Constant(0.0);
        }
    }

    fn layer(&mut self, layer: Layer, span: Span, x: Map) -> Result<Map> {
        let same = |node: NodeId| Map { value: node.into(), channels: x.channels };
        Ok(match layer {
            Layer::Conv { out, attrs, bias } => self.conv(out, attrs, bias, span, x)?,
            Layer::BatchNorm { eps, momentum } => {
                let name = self.name("bn");
                let op = Op::BatchNorm { eps, momentum, epilogue: Epilogue::default() };
                let parts = [
                    ("scale", Role::NormScale, 1.0),
                    ("shift", Role::NormShift, 0.0),
                    ("running_mean", Role::RunningMean, 0.0),
                    ("running_var", Role::RunningVar, 1.0),
                ];
                let mut operands = vec![x.value];
                for (part, role, value) in parts {
                    let init = Init::Constant(value);
                    operands.push(self.param(&name, part, vec![x.channels], role, init, span)?);
                }
                same(self.graph.add(name, op, span, &operands))
            }
            Layer::Activate(act) => same(self.node(kind_of(act), Op::Activate { act }, span, &[x.value])),
            Layer::MaxPool(attrs) => same(self.node("maxpool", Op::MaxPool { attrs }, span, &[x.value])),
            Layer::AvgPool(attrs) => same(self.node("avgpool", Op::AvgPool { attrs }, span, &[x.value])),
            Layer::GlobalAvgPool => same(self.node("pool", Op::GlobalAvgPool, span, &[x.value])),
            Layer::Linear { out, bias } => self.linear(out, bias, span, x)?,
        })
    }

    fn conv(&mut self, out: usize, attrs: ConvAttrs, bias: bool, span: Span, x: Map) -> Result<Map> {
        let (groups, cin) = (attrs.groups, x.channels);
        if !cin.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            let which = if cin.is_multiple_of(groups) { "output" } else { "input" };
            let channels = if which == "input" { cin } else { out };
            let text = format!("{channels} {which} channels in {groups} groups");
            let fault = Diagnostic::error("the groups do not divide the channels", span, text);
            return Err(Box::new(fault.help("both channel counts must be multiples of `groups`")));
        }
        let name = self.name("conv");
        let [kh, kw] = attrs.kernel;
        let (fan_in, fan_out) = (cin / groups * kh * kw, out * kh * kw);
        let init = initial(self.spec.init.conv, fan_in, fan_out);
        let shape = vec![out, cin / groups, kh, kw];
        let mut operands = vec![x.value, self.param(&name, "weight", shape, Role::ConvWeight, init, span)?];
        if bias {
            let init = initial(self.spec.init.linear, fan_in, fan_out);
            operands.push(self.param(&name, "bias", vec![out], Role::Bias, init, span)?);
        }
        let op = Op::Conv { attrs, bias, epilogue: Epilogue::default() };
        Ok(Map { value: self.graph.add(name, op, span, &operands).into(), channels: out })
    }

    fn linear(&mut self, out: usize, bias: bool, span: Span, x: Map) -> Result<Map> {
        let name = self.name("linear");
        let init = initial(self.spec.init.linear, x.channels, out);
        let weight = self.param(&name, "weight", vec![out, x.channels], Role::LinearWeight, init, span)?;
        let mut operands = vec![x.value, weight];
        if bias {
            operands.push(self.param(&name, "bias", vec![out], Role::Bias, init, span)?);
        }
        Ok(Map { value: self.graph.add(name, Op::Linear { bias }, span, &operands).into(), channels: out })
    }

    fn param(
        &mut self,
        layer: &str,
        part: &str,
        shape: Vec<usize>,
        role: Role,
        init: Init,
        span: Span,
    ) -> Result<Value> {
        let shape = Shape(shape);
        let total = shape.numel().and_then(|n| self.params.checked_add(n)).filter(|&n| n <= MAX_PARAMS);
        let Some(total) = total else {
            let fault = Diagnostic::error(
                "the network has too many parameters",
                span,
                format!("a weight of {shape}"),
            );
            return Err(Box::new(fault.help(format!("{MAX_PARAMS} are the limit"))));
        };
        self.params = total;
        let op = Op::Param { shape, role, init, recipe: Recipe::Own };
        Ok(self.graph.add(format!("{layer}.{part}"), op, span, &[]).into())
    }

    fn node(&mut self, kind: &'static str, op: Op, span: Span, operands: &[Value]) -> NodeId {
        let name = self.name(kind);
        self.graph.add(name, op, span, operands)
    }

    /// The next name of a kind in the region.
    fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let alone = matches!(kind, "add" | "shortcut") || self.region == "head";
        if alone && *count == 1 {
            format!("{}.{kind}", self.region)
        } else {
            format!("{}.{kind}{count}", self.region)
        }
    }
}

fn kind_of(act: crate::ir::op::Activation) -> &'static str {
    use crate::ir::op::Activation;
    match act {
        Activation::Relu => "relu",
        Activation::LeakyRelu { .. } => "leaky_relu",
        Activation::Sigmoid => "sigmoid",
    }
}
