//! Raw tree to [`ResolvedSpec`]: the last place where defaults exist. Everything is checked against everything, and
//! all faults are returned together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::init::{self, InitSpec};
use super::layer::MAX_CHANNELS;
use super::raw::{self, Kind, Node};
use super::read::{Reader, Spanned, suggest};
use super::train::TrainConfig;
use super::unit::{self, Call, Unit};
use super::{check, number, train_section};
use crate::diagnostic::Diagnostic;
use crate::ir::op::ShortcutRule;
use crate::source::{SourceId, SourceMap, Span};

/// Most units of a network.
pub const MAX_UNITS: usize = 4096;

/// A spec with all defaults applied.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedSpec {
    /// Of the network.
    pub name: Spanned<String>,
    /// One image, `[channels, height, width]`.
    pub input: Spanned<[usize; 3]>,
    /// Number of classes.
    pub classes: Spanned<usize>,
    /// Layers before the stages.
    pub stem: Vec<Call>,
    /// At least one.
    pub stages: Vec<StageSpec>,
    /// How `shortcut` makes shapes agree.
    pub shortcut: Spanned<ShortcutRule>,
    /// Layers after the stages; their result is the logits.
    pub head: Vec<Call>,
    /// First values of the parameters.
    pub init: InitSpec,
    /// What the author says of the network.
    pub expect: Expect,
    /// How it is trained.
    pub train: TrainConfig,
}

/// Units after one another, with one number of filters.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    /// How many units.
    pub depth: usize,
    /// `f` of each unit; none where the unit does not take it.
    pub filters: Option<usize>,
    /// `stride` of the first unit; the others have 1.
    pub stride: usize,
    /// What each unit is.
    pub unit: Arc<Unit>,
    /// Further parameters of the unit, all of them, in the order of its signature.
    pub args: Vec<(String, f64)>,
    /// The stage's text.
    pub span: Span,
}

/// The `expect:` section: what does not hold is an error.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// Trained parameters.
    pub params: Option<Spanned<u64>>,
    /// Multiply-accumulates of one image.
    pub macs: Option<Spanned<u64>>,
    /// Shape of the logits of one image.
    pub output: Option<Spanned<Vec<usize>>>,
}

const KEYS: &[&str] = &[
    "name", "input", "classes", "stem", "unit", "style", "shortcut", "stages", "head", "units", "init",
    "expect", "train",
];

/// Names of the shortcut rules.
pub const RULES: &[(&str, ShortcutRule)] = &[
    ("identity", ShortcutRule::Identity),
    ("pad", ShortcutRule::Pad),
    ("projection", ShortcutRule::Projection),
    ("always_project", ShortcutRule::AlwaysProject),
];

/// Sources of the built-in texts.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The units.
    pub units: SourceId,
    /// The head of a spec without one.
    pub head: SourceId,
}

/// Units by name: the built-in ones, shadowed by the spec's own.
type Units = BTreeMap<String, Arc<Unit>>;

/// Reads a raw tree.
pub fn resolve(tree: &Node, builtin: Builtin, sources: &SourceMap) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let mut reader = Reader::new(sources);
    let mut units = Units::new();
    let own = raw::parse(sources, builtin.units, 0)?;
    read_units(&mut reader, &own, true, &mut units);
    reader.fields(tree, "a spec", KEYS);
    if let Some(node) = tree.get("units") {
        read_units(&mut reader, node, false, &mut units);
    }
    let spec = Resolver { tree, units, builtin, reader: &mut reader }.spec();
    match spec {
        Some(spec) if reader.faults.is_empty() => Ok(spec),
        _ => Err(in_order(reader.faults)),
    }
}

/// Sorts faults by place, so that they read like the file; the same fault at one place is told once.
fn in_order(mut faults: Vec<Diagnostic>) -> Vec<Diagnostic> {
    faults.sort_by_key(|d| d.labels.first().map(|l| (l.span.source, l.span.start)));
    faults.dedup();
    faults
}

fn read_units(reader: &mut Reader<'_>, node: &Node, builtin: bool, units: &mut Units) {
    for entry in reader.entries(node, "`units`").unwrap_or_default() {
        let head = unit::Text { text: reader.sources.text(entry.span), span: entry.span };
        let head = reader.keep(unit::signature(head));
        let body = reader.language(&entry.value, "a unit's body");
        let body = body.and_then(|text| reader.keep(unit::body(text)));
        if let (Some((name, params)), Some(bindings)) = (head, body) {
            let unit = Unit { name, params, bindings, builtin };
            reader.faults.extend(check::unit(&unit));
            units.insert(unit.name.text.clone(), Arc::new(unit));
        }
    }
}

struct Resolver<'r, 's> {
    tree: &'r Node,
    units: Units,
    builtin: Builtin,
    reader: &'r mut Reader<'s>,
}

impl Resolver<'_, '_> {
    /// Every section is read, whatever is wrong with the others.
    fn spec(mut self) -> Option<ResolvedSpec> {
        let name = self.name();
        let input = self.input();
        let classes = self.classes();
        let stem = self.stem();
        let head = self.head();
        let shortcut = self.shortcut();
        let stages = self.stages();
        let init = self.tree.get("init").map(|node| init::read(self.reader, node)).unwrap_or_default();
        let expect = self.expect(classes.as_ref().map(|c| c.value));
        let channels = input.as_ref().map_or(3, |i| i.value[0]);
        let train = match self.tree.get("train") {
            Some(node) => train_section::read(self.reader, node, channels),
            None => train_section::default(channels),
        };
        Some(ResolvedSpec {
            name: name?,
            input: input?,
            classes: classes?,
            stem: stem?,
            stages: stages?,
            shortcut: shortcut?,
            head: head?,
            init,
            expect,
            train,
        })
    }

    /// Where a missing key is pointed out: the first key of the file.
    fn top(&self) -> Span {
        match &self.tree.kind {
            Kind::Map(entries) => entries.first().map_or(self.tree.span, |e| e.span),
            Kind::Scalar { .. } | Kind::List(_) => self.tree.span,
        }
    }

    fn required(&mut self, key: &str, example: &str) -> Option<Node> {
        let node = self.tree.get(key);
        if node.is_none() && matches!(self.tree.kind, Kind::Map(_)) {
            let top = self.top();
            self.reader.missing(top, "the spec", key, example);
        }
        node.cloned()
    }

    fn name(&mut self) -> Option<Spanned<String>> {
        let node = self.required("name", "resnet20")?;
        let name = self.reader.text(&node, "`name`")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.len() > 64 || !name.chars().all(legal) {
            let fault = Diagnostic::error(
                "`name` must be letters, digits, `_`, `-` and `.`",
                node.span,
                "not such a name",
            );
            self.reader.fault(fault.help("files are named after it; 64 characters at most"));
            return None;
        }
        Some(Spanned::new(name.to_string(), node.span))
    }

    fn input(&mut self) -> Option<Spanned<[usize; 3]>> {
        let node = self.required("input", "[3, 224, 224]")?;
        let items = self.reader.items(&node, "`input`")?;
        if items.len() != 3 {
            let fault = Diagnostic::error(
                "`input` must be `[channels, height, width]`",
                node.span,
                format!("{} numbers", items.len()),
            );
            self.reader.fault(fault);
            return None;
        }
        let sizes: Vec<_> =
            items.iter().map(|item| self.reader.count(item, "a size of `input`", 1..=1 << 14)).collect();
        Some(Spanned::new([sizes[0]?, sizes[1]?, sizes[2]?], node.span))
    }

    fn classes(&mut self) -> Option<Spanned<usize>> {
        let node = self.required("classes", "10")?;
        let classes = self.reader.count(&node, "`classes`", 1..=MAX_CHANNELS)?;
        Some(Spanned::new(classes, node.span))
    }

    fn stem(&mut self) -> Option<Vec<Call>> {
        let node = self.required("stem", "conv3x3(16) -> bn -> relu")?;
        let text = self.reader.language(&node, "`stem`")?;
        self.layers(text)
    }

    fn head(&mut self) -> Option<Vec<Call>> {
        let text = match self.tree.get("head") {
            Some(node) => self.reader.language(node, "`head`")?,
            None => {
                let text = self.reader.sources.get(self.builtin.head).map_or("", |s| &s.text);
                let span = Span { source: self.builtin.head, start: 0, end: text.len() as u32 };
                unit::Text { text, span }
            }
        };
        self.layers(text)
    }

    fn layers(&mut self, text: unit::Text<'_>) -> Option<Vec<Call>> {
        let calls = self.reader.keep(unit::layers(text))?;
        let faults = check::layers(&calls, &["classes"]);
        self.reader.faults.extend(faults);
        Some(calls)
    }

    fn shortcut(&mut self) -> Option<Spanned<ShortcutRule>> {
        let Some(node) = self.tree.get("shortcut") else {
            return Some(Spanned::new(ShortcutRule::Projection, self.top()));
        };
        if matches!(node.kind, Kind::Map(_)) {
            self.reader.fault(Diagnostic::error(
                "shortcut rules of one's own are not supported yet",
                node.span,
                "here",
            ));
            return None;
        }
        let name = self.reader.text(node, "`shortcut`")?;
        let rule = RULES.iter().find(|&&(known, _)| known == name);
        if rule.is_none() {
            let known: Vec<&str> = RULES.iter().map(|&(known, _)| known).collect();
            self.reader.unknown("shortcut rule", name, node.span, &known);
        }
        rule.map(|&(_, rule)| Spanned::new(rule, node.span))
    }

    fn stages(&mut self) -> Option<Vec<StageSpec>> {
        let v1 = self.style();
        let default = self.tree.get("unit").map(|node| self.unit(node, v1));
        let node = self.required("stages", "[{depth: 3, filters: 16}]")?;
        let items = self.reader.items(&node, "`stages`")?;
        if items.is_empty() {
            let fault = Diagnostic::error("a network has at least one stage", node.span, "no stages");
            self.reader.fault(fault.help("add one: `- {depth: 3, filters: 16}`"));
        }
        let stages: Vec<_> = items.iter().map(|item| self.stage(item, default.as_ref(), v1)).collect();
        let units: usize = stages.iter().flatten().map(|s| s.depth).sum();
        if units > MAX_UNITS {
            let fault =
                Diagnostic::error("the network has too many units", node.span, format!("{units} units"));
            self.reader.fault(fault.help(format!("{MAX_UNITS} are the limit")));
        }
        stages.into_iter().collect()
    }

    /// Whether `style: v1` puts the bottleneck's stride onto its first convolution.
    fn style(&mut self) -> bool {
        let Some(node) = self.tree.get("style") else { return false };
        match self.reader.text(node, "`style`") {
            Some("v1") => true,
            Some("v1.5") | None => false,
            Some(other) => {
                self.reader.unknown("style", other, node.span, &["v1", "v1.5"]);
                false
            }
        }
    }

    fn stage(&mut self, node: &Node, default: Option<&Option<UnitCall>>, v1: bool) -> Option<StageSpec> {
        let entries = self.reader.fields(node, "a stage", &["depth", "filters", "stride", "unit"])?;
        let (mut depth, mut filters, mut stride) = (None, None, Some(1));
        let mut call = default.cloned();
        for entry in &entries {
            let what = format!("`{}`", entry.key);
            match entry.key.as_str() {
                "depth" => depth = self.reader.count(&entry.value, &what, 1..=MAX_UNITS),
                "filters" => filters = self.reader.count(&entry.value, &what, 1..=MAX_CHANNELS),
                "stride" => stride = self.reader.count(&entry.value, &what, 1..=64),
                _ => call = Some(self.unit(&entry.value, v1)),
            }
        }
        let has = |key: &str| entries.iter().any(|e| e.key == key);
        if !has("depth") {
            self.reader.missing(node.span, "the stage", "depth", "3");
        }
        let Some(call) = call else {
            self.reader.missing(node.span, "the stage", "unit", "basic");
            return None;
        };
        let call = call?;
        let takes = |name: &str| call.unit.params.iter().any(|p| p.name.text == name);
        if takes("f") && !has("filters") {
            self.reader.missing(node.span, "the stage", "filters", "64");
        }
        for (key, name) in [("filters", "f"), ("stride", "stride")] {
            if let Some(entry) = entries.iter().find(|e| e.key == key && !takes(name)) {
                let fault = format!("the unit `{}` takes no `{name}`", call.unit.name.text);
                let fault = Diagnostic::error(fault, entry.span, "without effect");
                self.reader.fault(
                    fault
                        .label(call.unit.name.span, "its parameters")
                        .help(format!("take `{key}` out, or give the unit the parameter `{name}`")),
                );
            }
        }
        let filters = if takes("f") { Some(filters?) } else { None };
        Some(StageSpec {
            depth: depth?,
            filters,
            stride: stride?,
            unit: call.unit,
            args: call.args,
            span: node.span,
        })
    }

    fn unit(&mut self, node: &Node, v1: bool) -> Option<UnitCall> {
        let text = self.reader.language(node, "`unit`")?;
        let calls = self.reader.keep(unit::layers(text))?;
        if let Some(second) = calls.get(1) {
            let fault = Diagnostic::error("`unit` is the name of one unit", second.span, "one too many");
            self.reader.fault(fault.help("bind a longer pipeline under `units:` and name it here"));
            return None;
        }
        let call = calls.into_iter().next()?;
        let name = call.name.text.as_str();
        let shadowed = self.units.get("bottleneck").is_some_and(|u| !u.builtin);
        let wanted = if v1 && name == "bottleneck" && !shadowed { "bottleneck_v1" } else { name };
        let Some(unit) = self.units.get(wanted).cloned() else {
            let known: Vec<&str> = self.units.keys().map(String::as_str).collect();
            let fault = Diagnostic::error(format!("unknown unit `{name}`"), call.name.span, "not known");
            let known = suggest(name, &known);
            // A unit whose text has a fault of its own is known all the same.
            let faulty = self.tree.get("units").is_some_and(|u| match &u.kind {
                Kind::Map(entries) => entries.iter().any(|e| e.key.starts_with(name)),
                Kind::Scalar { .. } | Kind::List(_) => false,
            });
            if !faulty {
                self.reader.fault(fault.help(known));
            }
            return None;
        };
        let args = self.args(&unit, &call)?;
        Some(UnitCall { unit, args })
    }

    /// Values of the unit's parameters but `f` and `stride`, which the stage gives.
    fn args(&mut self, unit: &Unit, call: &Call) -> Option<Vec<(String, f64)>> {
        let free: Vec<_> =
            unit.params.iter().filter(|p| !["f", "stride"].contains(&p.name.text.as_str())).collect();
        let before = self.reader.faults.len();
        let mut given: BTreeMap<&str, f64> = BTreeMap::new();
        for (at, arg) in call.args.iter().flatten().enumerate() {
            let param = match &arg.name {
                Some(name) => free.iter().find(|p| p.name.text == name.text),
                None => free.get(at),
            };
            let Some(param) = param else {
                let names: Vec<&str> = free.iter().map(|p| p.name.text.as_str()).collect();
                let span = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
                let fault = Diagnostic::error(
                    format!("the unit `{}` has no such parameter", unit.name.text),
                    span,
                    "not known",
                );
                let help = arg
                    .name
                    .as_ref()
                    .map_or(format!("known: {}", names.join(", ")), |n| suggest(&n.text, &names));
                self.reader.fault(fault.help(help));
                continue;
            };
            if let Some(value) = self.reader.keep(number::eval(&arg.value, &|_| None)) {
                given.insert(&param.name.text, value);
            }
        }
        let mut args: Vec<(String, f64)> = Vec::new();
        for param in free {
            let known = |name: &str| args.iter().find(|(n, _)| n == name).map(|&(_, v)| v);
            let value = match (given.get(param.name.text.as_str()), &param.default) {
                (Some(&value), _) => Some(value),
                (None, Some(default)) => self.reader.keep(number::eval(default, &known)),
                (None, None) => {
                    let fault = format!("the unit `{}` needs `{}`", unit.name.text, param.name.text);
                    let fault = Diagnostic::error(fault, call.span, "not given here")
                        .label(param.name.span, "no default");
                    self.reader
                        .fault(fault.help(format!("write `{}({}=...)`", unit.name.text, param.name.text)));
                    None
                }
            };
            args.extend(value.map(|v| (param.name.text.clone(), v)));
        }
        (self.reader.faults.len() == before).then_some(args)
    }

    fn expect(&mut self, classes: Option<usize>) -> Expect {
        let mut expect = Expect::default();
        let Some(node) = self.tree.get("expect") else { return expect };
        for entry in self.reader.fields(node, "`expect`", &["params", "macs", "output"]).unwrap_or_default() {
            let (value, what) = (&entry.value, format!("`{}`", entry.key));
            match entry.key.as_str() {
                "params" => {
                    expect.params =
                        self.reader.integer(value, &what, 0..=u64::MAX).map(|v| Spanned::new(v, value.span))
                }
                "macs" => {
                    expect.macs =
                        self.reader.integer(value, &what, 0..=u64::MAX).map(|v| Spanned::new(v, value.span))
                }
                _ => expect.output = self.output(value, classes).map(|v| Spanned::new(v, value.span)),
            }
        }
        expect
    }

    fn output(&mut self, node: &Node, classes: Option<usize>) -> Option<Vec<usize>> {
        let items = self.reader.items(node, "`output`")?;
        let mut shape = Vec::new();
        for item in items {
            let text = self.reader.language(item, "a size")?;
            let expr = self.reader.keep(unit::formula(text))?;
            let vars = |name: &str| (name == "classes").then_some(classes).flatten().map(|c| c as f64);
            let size = self.reader.keep(number::eval(&expr, &vars))?;
            if size.fract() != 0.0 || !(1.0..=1e9).contains(&size) {
                self.reader.fault(Diagnostic::error(
                    "a size must be a positive whole number",
                    item.span,
                    format!("this is {size}"),
                ));
                return None;
            }
            shape.push(size as usize);
        }
        Some(shape)
    }
}

/// A unit with the values of its own parameters.
#[derive(Clone)]
struct UnitCall {
    unit: Arc<Unit>,
    args: Vec<(String, f64)>,
}
