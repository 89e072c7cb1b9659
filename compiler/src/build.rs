//! [`ResolvedSpec`] to a [`Graph`] in the stage `Built`: the only code that sees both.
//!
//! Nodes are named by their place in the spec: region (`stem`, `stage1.unit0`, `head`), then the layer's kind counted
//! from 1 in order of writing (`conv1`, `bn2`, `relu3`). `add`, `mul`, `scale`, `shortcut` and the head's layers carry a
//! number from their second on. Parameters hang below their layer: `stage1.unit0.conv1.weight`. Channels are tracked here, since
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

    fn value(&mut self, expr: &Expr, scope: &Scope) -> Result<Item> {
        match &expr.kind {
            ExprKind::Call(call) if call.args.is_none() && scope.contains_key(&call.name.text) => {
                Ok(scope[&call.name.text])
            }
            ExprKind::Pipeline(start, calls) => {
                let start = self.map(start, scope)?;
                self.pipeline(calls, start, scope).map(Item::Map)
            }
            ExprKind::Sum(terms) => self.sum(expr, terms, scope),
            ExprKind::Product(factors) => self.product(expr, factors, scope),
            ExprKind::Negate(inner) => Ok(match self.value(inner, scope)? {
                Item::Map(map) => Item::Map(self.scale_shift(map, -1.0, 0.0, expr.span)),
                Item::Number(_) | Item::Shortcut => Item::Number(self.number(expr, scope)?),
            }),
            ExprKind::Number(_) | ExprKind::Call(_) => self.number(expr, scope).map(Item::Number),
        }
    }

    fn map(&mut self, expr: &Expr, scope: &Scope) -> Result<Map> {
        match self.value(expr, scope)? {
            Item::Map(map) => Ok(map),
            Item::Number(_) | Item::Shortcut => unreachable!("the checker found a feature map here"),
        }
    }

    fn number(&self, expr: &Expr, scope: &Scope) -> Result<f64> {
        number::eval(expr, &|name| match scope.get(name) {
            Some(&Item::Number(value)) => Some(value),
            _ => None,
        })
    }

    fn pipeline(&mut self, calls: &[Call], start: Map, scope: &Scope) -> Result<Map> {
        calls.iter().try_fold(start, |map, call| {
            let bound: Bound<'_> = layer::bind(call).expect("the checker bound this call");
            let layer = bound.resolve(&mut |expr| self.number(expr, scope))?;
            self.layer(layer, call.span, map)
        })
    }

    /// Terms are built in order of writing and added from the left, numbers with the first map; those with the shortcut
    /// wait for a term with a shape.
    fn sum(&mut self, expr: &Expr, terms: &[(bool, Expr)], scope: &Scope) -> Result<Item> {
        let mut items = Vec::new();
        for (minus, term) in terms {
            let item = match mention(term, scope) {
                Some(span) => Err(span),
                None => Ok(self.value(term, scope)?),
            };
            items.push((*minus, term, item));
        }
        if items.iter().all(|(_, _, item)| matches!(item, Ok(Item::Number(_)))) {
            return self.number(expr, scope).map(Item::Number);
        }
        let like = items.iter().find_map(|(_, term, item)| match item {
            Ok(Item::Map(map)) => Some((*map, term.span)),
            Ok(Item::Number(_) | Item::Shortcut) | Err(_) => None,
        });
        let (mut offset, mut maps) = (0.0, Vec::new());
        for (minus, term, item) in items {
            let map = match item {
                Ok(Item::Number(value)) => {
                    offset += if minus { -value } else { value };
                    continue;
                }
                Ok(Item::Map(map)) => map,
                Ok(Item::Shortcut) => unreachable!("a mention of the shortcut waits"),
                Err(span) => {
                    let like = like.expect("the checker found a feature map in this sum");
                    let shortcut = self.shortcut(scope, like.0, span, like.1)?;
                    let mut scope = scope.clone();
                    scope.insert("shortcut".into(), Item::Map(shortcut));
                    self.map(term, &scope)?
                }
            };
            let sign = if minus { -1.0 } else { 1.0 };
            maps.push((self.scale_shift(map, sign, std::mem::take(&mut offset), expr.span), term.span));
        }
        let mut maps = maps.into_iter();
        let (mut total, first) = maps.next().expect("the checker found a feature map in this sum");
        for (map, span) in maps {
            total = self.add(total, first, map, span, expr.span)?;
        }
        Ok(Item::Map(self.scale_shift(total, 1.0, offset, expr.span)))
    }

    /// Maps are multiplied from the left, the product of the numbers last.
    fn product(&mut self, expr: &Expr, factors: &[(bool, Expr)], scope: &Scope) -> Result<Item> {
        let (mut scale, mut total) = (1.0, None);
        for (divisor, factor) in factors {
            match self.value(factor, scope)? {
                Item::Number(0.0) if *divisor => {
                    return Err(Box::new(Diagnostic::error("division by zero", factor.span, "this is 0")));
                }
                Item::Number(value) if *divisor => scale /= value,
                Item::Number(value) => scale *= value,
                Item::Map(map) => {
                    total = Some(match total {
                        None => (map, factor.span),
                        Some((left, span)) => (self.multiply(left, span, map, factor.span, expr.span)?, span),
                    });
                }
                Item::Shortcut => unreachable!("a mention of the shortcut waits for its sum"),
            }
        }
        match total {
            None => self.number(expr, scope).map(Item::Number),
            Some((map, _)) => Ok(Item::Map(self.scale_shift(map, scale, 0.0, expr.span))),
        }
    }

    /// `scale * x + shift`; `x` itself where that changes nothing.
    fn scale_shift(&mut self, x: Map, scale: f64, shift: f64, span: Span) -> Map {
        if (scale, shift) == (1.0, 0.0) {
            return x;
        }
        let op = Op::ScaleShift { scale: scale as f32, shift: shift as f32 };
        Map { value: self.node("scale", op, span, &[x.value]).into(), channels: x.channels }
    }

    fn multiply(&mut self, a: Map, a_span: Span, b: Map, b_span: Span, whole: Span) -> Result<Map> {
        if a.channels != b.channels {
            let text = format!("{} channels", a.channels);
            let fault = Diagnostic::error("these cannot be multiplied", a_span, text);
            let fault = fault.label(b_span, format!("{} channels", b.channels));
            return Err(Box::new(fault.help("a gate has as many channels as what it multiplies")));
        }
        let op = Op::Mul { epilogue: Epilogue::default() };
        Ok(Map { value: self.node("mul", op, whole, &[a.value, b.value]).into(), channels: a.channels })
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

    fn shortcut(&mut self, scope: &Scope, like: Map, span: Span, like_span: Span) -> Result<Map> {
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

    /// Makes a normalisation start with scale 0, also one that a gate or a number multiplies; nothing where the node is
    /// none.
    fn zero_scale(&mut self, node: NodeId) {
        if let Op::Mul { .. } | Op::ScaleShift { .. } = self.graph.node(node).op {
            self.graph.operands(node).into_iter().for_each(|factor| self.zero_scale(factor.node));
        }
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
        let alone = matches!(kind, "add" | "mul" | "scale" | "shortcut") || self.region == "head";
        if alone && *count == 1 {
            format!("{}.{kind}", self.region)
        } else {
            format!("{}.{kind}{count}", self.region)
        }
    }
}

/// Where an expression mentions the shortcut whose shape is not known yet.
fn mention(expr: &Expr, scope: &Scope) -> Option<Span> {
    match &expr.kind {
        ExprKind::Number(_) => None,
        ExprKind::Call(call) => {
            let name = scope.get(&call.name.text);
            matches!((name, &call.args), (Some(Item::Shortcut), None)).then_some(call.span)
        }
        ExprKind::Negate(inner) | ExprKind::Pipeline(inner, _) => mention(inner, scope),
        ExprKind::Sum(parts) | ExprKind::Product(parts) => {
            parts.iter().find_map(|(_, part)| mention(part, scope))
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
