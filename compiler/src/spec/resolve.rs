//! Raw tree to [`ResolvedSpec`]: the last place where defaults exist. Everything is checked against everything, and
//! all faults are returned together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::init::{self, InitSpec};
use super::keys::KeySpans;
use super::layer::MAX_CHANNELS;
use super::limits::Limits;
use super::place::Place;
use super::raw::{self, Kind, Node};
use super::read::{Reader, Spanned};
use super::rules::{self, Shortcuts};
use super::shape::{Key, Section, Shape};
use super::train::TrainConfig;
use super::unit::{self, Call, Unit};
use super::{check, expect, norm, stages, train_section};
use crate::diagnostic::Diagnostic;
use crate::ir::op::{Norm, ShortcutRule};
use crate::source::{SourceId, SourceMap, Span};

pub use super::expect::Expect;

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
    /// What `bn` without arguments stands for, and what normalises projections.
    pub norm: Norm,
    /// What `shortcut` means in units.
    pub shortcut: Shortcuts,
    /// Layers between one stage and the next; may be none.
    pub transition: Vec<Call>,
    /// What follows the stages.
    pub head: Head,
    /// Numbers of stages whose results are results of the network, beside the logits.
    pub outputs: Vec<Spanned<usize>>,
    /// First values of the parameters.
    pub init: InitSpec,
    /// What the author says of the network.
    pub expect: Expect,
    /// How it is trained.
    pub train: TrainConfig,
    /// How large the network may become.
    pub limits: Limits,
    /// What is right, but probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Where each key was written.
    pub keys: KeySpans,
}

/// Units after one another.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    /// At least one.
    pub units: Vec<UnitSpec>,
    /// The stage's text.
    pub span: Span,
}

/// One unit with all its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitSpec {
    /// What it is.
    pub unit: Arc<Unit>,
    /// Values of all its parameters, in the order of its signature.
    pub args: Vec<(String, f64)>,
    /// Where it stands.
    pub place: Place,
    /// The text that asked for it: a stage, or a part of one.
    pub span: Span,
}

impl UnitSpec {
    /// The value of a parameter.
    pub fn arg(&self, name: &str) -> Option<f64> {
        self.args.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }
}

/// What follows the stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Layers whose result is the logits; none for a feature extractor, whose results are those of stages.
    pub layers: Option<Vec<Call>>,
    /// Its text.
    pub span: Span,
}

/// The whole spec. `extends` is taken out before it is read.
pub const SPEC: Section = Section {
    what: "a spec",
    keys: &[
        Key::new(
            "extends",
            Shape::Text,
            "The spec that this one changes: a file beside it, or a compiled-in name.",
        ),
        Key::required("name", Shape::Name, "Of the network; files are named after it."),
        Key::required(
            "input",
            Shape::List(&Shape::Count(1, MAX_SIDE), 3, Some(3)),
            "One image: `[channels, height, width]`.",
        ),
        Key::required("classes", Shape::Count(1, MAX_CHANNELS as u64), "Number of classes."),
        Key::required("stem", Shape::Language, "Layers before the stages: `conv3x3(16) -> bn -> relu`."),
        Key::new(
            "unit",
            Shape::Language,
            "What stages are made of: `basic`, `bottleneck`, or one of `units`.",
        ),
        Key::new("style", Shape::Word(&["v1", "v1.5"]), "Which convolution of a bottleneck has the stride."),
        Key::new("norm", Shape::Language, "What `bn` without arguments stands for: `group_norm(groups=32)`."),
        Key::new(
            "shortcut",
            Shape::Any(&[rules::ONE, Shape::Section(&rules::SHORTCUT)]),
            "What `shortcut` means.",
        ),
        Key::required(
            "stages",
            Shape::List(&Shape::Any(&[GROUP, Shape::List(&GROUP, 1, None)]), 1, None),
            "Like units after one another; a list in the list is one stage of several groups.",
        ),
        Key::new("transition", Shape::Language, "Layers between one stage and the next."),
        Key::new("output_stride", Shape::Count(1, 1 << 10), "Strides beyond it become dilations."),
        Key::new("head", Shape::Language, "Layers after the stages, or `none`."),
        Key::new(
            "outputs",
            Shape::List(&Shape::Text, 0, None),
            "Stages whose results are results: `[stage2]`.",
        ),
        Key::new("units", Shape::Units, "Units of one's own: signature to bindings."),
        Key::new("init", Shape::Section(&init::INIT), "First values of the parameters."),
        Key::new("expect", Shape::Section(&expect::EXPECT), "Figures that must hold."),
        Key::new("train", Shape::Section(&train_section::TRAIN), "How the network is trained."),
    ],
};

const GROUP: Shape = Shape::Section(&stages::STAGE);

/// Largest side of an image, most channels of one.
const MAX_SIDE: u64 = 1 << 14;

/// Numbers that stem, transitions and head may use: classes of the network, channels of what the section reads.
pub const LAYER_VARIABLES: [&str; 2] = ["classes", "channels"];

/// Sources of the built-in texts.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The units.
    pub units: SourceId,
    /// The head of a spec without one.
    pub head: SourceId,
    /// The layers of the shortcut rule D.
    pub rule: SourceId,
}

/// Units by name: the built-in ones, shadowed by the spec's own.
type Units = BTreeMap<String, Arc<Unit>>;

/// Reads a raw tree.
pub fn resolve(
    tree: &Node,
    builtin: Builtin,
    limits: Limits,
    sources: &SourceMap,
) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let mut reader = Reader::new(sources);
    let mut units = Units::new();
    let own = raw::parse(sources, builtin.units, 0, &Limits::default())?;
    read_units(&mut reader, &own, true, &mut units);
    reader.fields(tree, &SPEC);
    if let Some(node) = tree.get("units") {
        read_units(&mut reader, node, false, &mut units);
    }
    let resolver = Resolver { tree, units, builtin, limits, reader: &mut reader, warnings: Vec::new() };
    let spec = resolver.spec();
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
        let head = reader.keep(unit::signature(unquoted(reader.sources, entry.span)));
        let body = reader.language(&entry.value, "a unit's body");
        let body = body.and_then(|text| reader.keep(unit::body(text)));
        if let (Some((name, params)), Some(bindings)) = (head, body) {
            let unit = Unit { name, params, bindings, builtin };
            // Nobody reads more of them; but calls still find the unit.
            if reader.faults.len() < check::MAX_FAULTS {
                reader.faults.extend(check::unit(&unit));
            }
            units.insert(unit.name.text.clone(), Arc::new(unit));
        }
    }
}

/// A key's text without the quotes that it may stand in.
fn unquoted(sources: &SourceMap, span: Span) -> unit::Text<'_> {
    let text = sources.text(span);
    let inner = ['"', '\''].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match inner {
        Some(text) => unit::Text { text, span: Span { start: span.start + 1, end: span.end - 1, ..span } },
        None => unit::Text { text, span },
    }
}

/// Reads sections; the ones about units and stages in `calls` and `stages`.
pub(super) struct Resolver<'r, 's> {
    pub(super) tree: &'r Node,
    pub(super) units: Units,
    builtin: Builtin,
    pub(super) limits: Limits,
    pub(super) reader: &'r mut Reader<'s>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Resolver<'_, '_> {
    /// Every section is read, whatever is wrong with the others.
    fn spec(mut self) -> Option<ResolvedSpec> {
        let name = self.name();
        let input = self.input();
        let classes = self.classes();
        let stem = self.stem();
        let head = self.head();
        let norm = self.tree.get("norm").map_or(Some(Norm::DEFAULT), |node| norm::read(self.reader, node));
        let shortcut = self.shortcut();
        let transition = self.transition();
        let stages = self.stages(stem.as_deref(), shortcut.as_ref());
        let outputs = self.outputs(stages.as_ref().map(Vec::len));
        let init = self.tree.get("init").map(|node| init::read(self.reader, node)).unwrap_or_default();
        let expect = self
            .tree
            .get("expect")
            .map(|node| expect::read(self.reader, node, classes.as_ref().map(|c| c.value)));
        let channels = input.as_ref().map_or(3, |i| i.value[0]);
        let train = match self.tree.get("train") {
            Some(node) => train_section::read(self.reader, node, channels),
            None => train_section::default(channels),
        };
        let (stages, head, mut outputs) = (stages?, head?, outputs?);
        if head.layers.is_none() && outputs.is_empty() {
            outputs.push(Spanned::new(stages.len(), head.span));
        }
        Some(ResolvedSpec {
            name: name?,
            input: input?,
            classes: classes?,
            stem: stem?,
            stages,
            norm: norm?,
            shortcut: shortcut?,
            transition: transition?,
            head,
            outputs,
            init,
            expect: expect.unwrap_or_default(),
            train,
            limits: self.limits,
            warnings: self.warnings,
            keys: KeySpans::of(self.tree),
        })
    }

    /// Where a missing key is pointed out: the first key of the file.
    fn top(&self) -> Span {
        match &self.tree.kind {
            Kind::Map(entries) => entries.first().map_or(self.tree.span, |e| e.span),
            Kind::Scalar { .. } | Kind::List(_) => self.tree.span,
        }
    }

    pub(super) fn required(&mut self, key: &str, example: &str) -> Option<Node> {
        let node = self.tree.get(key);
        if node.is_none() && matches!(self.tree.kind, Kind::Map(_)) {
            let top = self.top();
            self.reader.missing(Some(self.tree), top, "the spec", key, example);
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
            self.reader.fault(fault.help("colour images of 224x224 are `[3, 224, 224]`"));
            return None;
        }
        let sizes: Vec<_> = items
            .iter()
            .map(|item| self.reader.count(item, "a size of `input`", SPEC.count("input")))
            .collect();
        Some(Spanned::new([sizes[0]?, sizes[1]?, sizes[2]?], node.span))
    }

    fn classes(&mut self) -> Option<Spanned<usize>> {
        let node = self.required("classes", "10")?;
        let classes = self.reader.count(&node, "`classes`", SPEC.count("classes"))?;
        Some(Spanned::new(classes, node.span))
    }

    fn stem(&mut self) -> Option<Vec<Call>> {
        let node = self.required("stem", "conv3x3(16) -> bn -> relu")?;
        let text = self.reader.language(&node, "`stem`")?;
        self.layers(text)
    }

    /// `none` is no head; the outer `None` a fault.
    fn head(&mut self) -> Option<Head> {
        let text = match self.tree.get("head") {
            Some(Node { kind: Kind::Scalar { text, .. }, span }) if text == "none" => {
                return Some(Head { layers: None, span: *span });
            }
            Some(node) => self.reader.language(node, "`head`")?,
            None => {
                let text = self.reader.sources.get(self.builtin.head).map_or("", |s| &s.text);
                let span = Span { source: self.builtin.head, start: 0, end: text.len() as u32 };
                unit::Text { text, span }
            }
        };
        Some(Head { layers: Some(self.layers(text)?), span: text.span })
    }

    fn layers(&mut self, text: unit::Text<'_>) -> Option<Vec<Call>> {
        let calls = self.reader.keep(unit::layers(text))?;
        let faults = check::layers(&calls, &LAYER_VARIABLES);
        self.reader.faults.extend(faults);
        Some(calls)
    }

    fn shortcut(&mut self) -> Option<Shortcuts> {
        match self.tree.get("shortcut") {
            Some(node) => rules::read(self.reader, node, self.builtin.rule),
            None => Some(Shortcuts::named(ShortcutRule::Projection, self.top())),
        }
    }

    fn transition(&mut self) -> Option<Vec<Call>> {
        let Some(node) = self.tree.get("transition") else { return Some(Vec::new()) };
        let text = self.reader.language(node, "`transition`")?;
        self.layers(text)
    }

    /// `[stage2, stage4]`: stages whose results are results of the network.
    fn outputs(&mut self, stages: Option<usize>) -> Option<Vec<Spanned<usize>>> {
        let Some(node) = self.tree.get("outputs") else { return Some(Vec::new()) };
        let mut outputs: Vec<Spanned<usize>> = Vec::new();
        for item in self.reader.items(node, "`outputs`")? {
            let text = self.reader.text(item, "an output")?;
            let stage = text.strip_prefix("stage").and_then(|n| n.parse::<usize>().ok());
            let stage = stage.filter(|&n| n > 0 && stages.is_none_or(|count| n <= count));
            let Some(stage) = stage else {
                let fault = Diagnostic::error(format!("there is no stage `{text}`"), item.span, "not known");
                let help = match stages {
                    Some(1) => "there is `stage1` alone".to_owned(),
                    Some(count) => format!("stages are called `stage1` to `stage{count}`"),
                    None => "stages are called `stage1`, `stage2` and so on".to_owned(),
                };
                self.reader.fault(fault.help(help));
                return None;
            };
            if let Some(first) = outputs.iter().find(|o| o.value == stage) {
                let fault =
                    Diagnostic::error(format!("`{text}` is an output twice"), item.span, "again here");
                self.reader.fault(fault.label(first.span, "first here").help("keep one of the two"));
                return None;
            }
            outputs.push(Spanned::new(stage, item.span));
        }
        Some(outputs)
    }
}
