//! The `shortcut:` section: a named rule, or layers of one's own for shapes that agree and for shapes that do not.

use crate::ir::op::ShortcutRule;
use crate::source::{SourceId, Span, Text};
use crate::spec::builtin;
use crate::spec::default::Default;
use crate::spec::language::tree::Call;
use crate::spec::language::{check, layer, parse, variables};
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// A rule that has a name.
#[derive(Debug)]
pub struct NamedRule {
    /// What specs call it.
    pub name: &'static str,
    /// The rule of the graph; none for one that is made of layers.
    pub rule: Option<ShortcutRule>,
    /// What it does, one line.
    pub about: &'static str,
}

const fn named(name: &'static str, rule: ShortcutRule, about: &'static str) -> NamedRule {
    NamedRule { name, rule: Some(rule), about }
}

/// All rules that have a name.
pub const RULES: &[NamedRule; 6] = &[
    named("identity", ShortcutRule::Identity, "the input itself; shapes have to agree"),
    named(
        "pad",
        ShortcutRule::Pad,
        "the input where shapes agree; elsewhere every `stride`-th pixel, with channels of zeros for those that are missing \
         (He et al. 2015, option A)",
    ),
    named(
        "projection",
        ShortcutRule::Projection,
        "the input where shapes agree; elsewhere a 1x1 convolution with the stride, normalised (option B)",
    ),
    named(
        "always_project",
        ShortcutRule::AlwaysProject,
        "a 1x1 convolution with the stride, normalised, in every unit (option C)",
    ),
    NamedRule {
        name: builtin::POOLED_PROJECTION.name,
        rule: None,
        about: "the input where shapes agree; elsewhere a mean over the pixels that a stride would skip, then a projection \
                of stride 1 (He et al. 2018, ResNet-D)",
    },
    NamedRule {
        name: builtin::POOLED_PAD.name,
        rule: None,
        about: "the input where shapes agree; elsewhere a mean over the pixels that a stride would skip, with channels of \
                zeros behind for those that are missing (Han et al. 2017, PyramidNet)",
    },
];

/// The names.
const WORDS: &[&str; RULES.len()] = &{
    let mut names = [""; RULES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = RULES[at].name;
        at += 1;
    }
    names
};

/// The key.
pub const SHORTCUT: Key = Key::new(
    "shortcut",
    Shape::Any(&[ONE, Shape::Section(&CASES)]),
    "What `shortcut` means in units: a rule, layers, or one of them for each of two cases.",
)
.default("projection");

/// A rule for shapes that agree, and one for shapes that do not.
pub const CASES: Section = Section {
    what: "`shortcut`",
    keys: &[
        Key::new("same", ONE, "The rule where the unit's input and its main branch have one shape.")
            .default("identity"),
        Key::new("changed", ONE, "The rule where they have not.").default("projection"),
    ],
};

/// A rule by name, or its layers.
const ONE: Shape = Shape::WordOrLayers(WORDS);

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
    /// The rule where input and main branch have one shape.
    pub same: Rule,
    /// The rule where they have not.
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
    let found = RULES.iter().find(|known| known.rule == Some(rule));
    found.expect("every rule has a name").name
}

/// The graph's rule of that name.
fn rule_of(name: &str) -> Option<ShortcutRule> {
    RULES.iter().find(|known| known.name == name)?.rule
}

/// The graph's rule that a key has by default.
fn graph_rule(default: Default) -> ShortcutRule {
    rule_of(default.text()).expect("the default is a rule of the graph")
}

/// Reads the section, by default the rule `projection`. `layered` are the sources of [`builtin::LAYERED_RULES`].
pub(crate) fn read(reader: &mut Reader<'_>, spec: &Node, layered: &[SourceId]) -> Option<Shortcuts> {
    let Some(node) = spec.get(SHORTCUT.name) else {
        return Some(Shortcuts::named(graph_rule(SHORTCUT.default), spec.top()));
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return pair(reader, node, layered);
    }
    let default = |key: &str| Rule::Named(graph_rule(CASES.key(key).default));
    let mut rules = Shortcuts { same: default("same"), changed: default("changed"), span: node.span };
    let mut whole = true;
    for entry in reader.fields(node, &CASES)? {
        let same = entry.key == "same";
        match pair(reader, &entry.value, layered) {
            Some(read) if same => rules.same = read.same,
            Some(read) => rules.changed = read.changed,
            None => whole = false,
        }
    }
    whole.then_some(rules)
}

/// A rule by name, which may do different things in the two cases, or layers, which do not.
fn pair(reader: &mut Reader<'_>, node: &Node, layered: &[SourceId]) -> Option<Shortcuts> {
    let text = reader.text(node, "`shortcut`")?;
    if let Some(rule) = rule_of(text) {
        return Some(Shortcuts::named(rule, node.span));
    }
    let builtin = builtin::LAYERED_RULES.iter().zip(layered).find(|(rule, _)| rule.name == text);
    if let Some((_, &source)) = builtin {
        let text = reader.sources.get(source).map_or("", |s| &s.text);
        let span = Span { source, start: 0, end: text.len() as u32 };
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
    let known: Vec<&str> = variables::SHORTCUT.iter().chain(variables::PLACE).map(|v| v.name).collect();
    let faults = check::layers(&calls, &known);
    reader.faults.extend(faults);
    Some(calls)
}
