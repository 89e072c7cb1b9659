//! The `shortcut:` section: a named rule, or layers of one's own for shapes that agree and for shapes that do not.

use crate::ir::op::ShortcutRule;
use crate::source::{SourceId, Span, Text};
use crate::spec::builtin;
use crate::spec::language::place::Place;
use crate::spec::language::tree::Call;
use crate::spec::language::{check, layer, parse};
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Names of the rules that the graph knows.
pub const RULES: &[(&str, ShortcutRule)] = &[
    ("identity", ShortcutRule::Identity),
    ("pad", ShortcutRule::Pad),
    ("projection", ShortcutRule::Projection),
    ("always_project", ShortcutRule::AlwaysProject),
];

/// What a spec calls all of them, D included.
const WORDS: &[&str] = &["identity", "pad", "projection", "always_project", builtin::POOLED_RULE];

/// A rule for shapes that agree, and one for shapes that do not.
pub const SHORTCUT: Section = Section {
    what: "`shortcut`",
    keys: &[
        Key::new("same", ONE, "Where input and main branch have one shape."),
        Key::new("changed", ONE, "Where they have not: `avgpool2x2(stride) -> conv1x1(out) -> bn`."),
    ],
};

/// A rule by name, or its layers.
pub const ONE: Shape = Shape::WordOrLayers(WORDS);

/// Numbers that the layers of a rule may use beside the unit's place: channels of the unit's input and of the main
/// branch, and the step between the pixels that the main branch has taken.
pub const VARIABLES: [&str; 3] = ["channels", "out", "stride"];

/// How the unit's input becomes a term of the sum.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// One that the graph knows.
    Named(ShortcutRule),
    /// Layers after one another; a pooling of stride 1 is left out.
    Layers(Vec<Call>),
}

/// What `shortcut` means in units.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortcuts {
    /// Where input and main branch have one shape.
    pub same: Rule,
    /// Where they have not.
    pub changed: Rule,
    /// The section's text.
    pub span: Span,
}

impl Shortcuts {
    /// One rule for both.
    pub fn named(rule: ShortcutRule, span: Span) -> Self {
        Shortcuts { same: Rule::Named(rule), changed: Rule::Named(rule), span }
    }

    /// Number of expressions in the larger of the two.
    pub fn size(&self) -> usize {
        let size = |rule: &Rule| match rule {
            Rule::Named(_) => 0,
            Rule::Layers(calls) => calls.iter().map(Call::size).sum(),
        };
        size(&self.same).max(size(&self.changed))
    }

    /// The named rule, where the two are one.
    pub fn name(&self) -> Option<&'static str> {
        match (&self.same, &self.changed) {
            (Rule::Named(same), Rule::Named(changed)) if same == changed => Some(name(*same)),
            _ => None,
        }
    }
}

/// What a spec calls the rule.
pub fn name(rule: ShortcutRule) -> &'static str {
    let found = RULES.iter().find(|&&(_, known)| known == rule);
    found.map(|&(name, _)| name).expect("every rule has a name")
}

/// Reads the section, by default the rule `projection`. `pooled` is the source of the built-in rule D.
pub(crate) fn read(reader: &mut Reader<'_>, spec: &Node, pooled: SourceId) -> Option<Shortcuts> {
    let Some(node) = spec.get("shortcut") else {
        return Some(Shortcuts::named(ShortcutRule::Projection, spec.top()));
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return pair(reader, node, pooled);
    }
    let mut rules = Shortcuts::named(ShortcutRule::Identity, node.span);
    rules.changed = Rule::Named(ShortcutRule::Projection);
    let mut whole = true;
    for entry in reader.fields(node, &SHORTCUT)? {
        let same = entry.key == "same";
        match pair(reader, &entry.value, pooled) {
            Some(read) if same => rules.same = read.same,
            Some(read) => rules.changed = read.changed,
            None => whole = false,
        }
    }
    whole.then_some(rules)
}

/// A rule by name, which may do different things in the two cases, or layers, which do not.
fn pair(reader: &mut Reader<'_>, node: &Node, pooled: SourceId) -> Option<Shortcuts> {
    let text = reader.text(node, "`shortcut`")?;
    if let Some(&(_, rule)) = RULES.iter().find(|&&(known, _)| known == text) {
        return Some(Shortcuts::named(rule, node.span));
    }
    if text == builtin::POOLED_RULE {
        let text = reader.sources.get(pooled).map_or("", |s| &s.text);
        let span = Span { source: pooled, start: 0, end: text.len() as u32 };
        let changed = Rule::Layers(layers(reader, Text { text, span })?);
        return Some(Shortcuts { same: Rule::Named(ShortcutRule::Identity), changed, span: node.span });
    }
    if text.contains("->") || text.contains('(') || layer::is_layer(text) {
        let text = reader.language(node, "`shortcut`")?;
        let calls = layers(reader, text)?;
        return Some(Shortcuts {
            same: Rule::Layers(calls.clone()),
            changed: Rule::Layers(calls),
            span: node.span,
        });
    }
    reader.unknown("shortcut rule", text, node.span, WORDS);
    None
}

fn layers(reader: &mut Reader<'_>, text: Text<'_>) -> Option<Vec<Call>> {
    let calls = reader.keep(parse::layers(text))?;
    let known: Vec<&str> = VARIABLES.into_iter().chain(Place::NAMES).collect();
    let faults = check::layers(&calls, &known);
    reader.faults.extend(faults);
    Some(calls)
}
