//! Typed values out of the raw tree. The reader notes a fault and goes on, so that one run reports all faults.

use std::fmt::Display;
use std::ops::RangeInclusive;

use granit_parser::ScalarStyle;

use super::node::{Entry, Kind, Node};
use super::number;
use super::shape::{Key, Section};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{nearest, suggest};
use crate::source::{SourceMap, Span, Text};
use crate::spec::foreign;
use crate::spec::size;

/// Number of unknown keys that are reported: a text with more of them is no spec.
const MAX_UNKNOWN: usize = 100;

/// Reads values and collects faults.
pub struct Reader<'s> {
    /// The texts, for values in the unit language.
    pub sources: &'s SourceMap,
    /// What was wrong so far.
    pub faults: Vec<Diagnostic>,
    /// What is right, but probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Unknown keys, and the known ones that they were taken for.
    meant: Vec<(Span, String)>,
}

impl<'s> Reader<'s> {
    /// A reader without faults.
    pub fn new(sources: &'s SourceMap) -> Self {
        Reader { sources, faults: Vec::new(), warnings: Vec::new(), meant: Vec::new() }
    }

    /// Notes a fault.
    pub fn fault(&mut self, diagnostic: Diagnostic) {
        self.faults.push(diagnostic);
    }

    /// Keeps a result and notes its fault.
    pub fn keep<T>(&mut self, result: Result<T, Box<Diagnostic>>) -> Option<T> {
        result.map_err(|fault| self.faults.push(*fault)).ok()
    }

    /// The entries of a map with the section's keys; unknown ones are faults and left out.
    pub fn fields<'n>(&mut self, node: &'n Node, section: &Section) -> Option<Vec<&'n Entry>> {
        let (what, known) = (section.what, section.names());
        let entries = self.entries(node, what)?;
        let mut kept = Vec::new();
        for entry in entries {
            if known.contains(&entry.key.as_str()) {
                kept.push(entry);
                continue;
            }
            if self.meant.len() == MAX_UNKNOWN {
                continue;
            }
            let found = foreign::key(what, &entry.key, &known).or_else(|| glued(&entry.key, &known));
            let near = found.as_ref().map(|&(_, meant)| meant).or_else(|| nearest(&entry.key, &known));
            self.meant.push((entry.span, near.unwrap_or_default().to_string()));
            let fault = Diagnostic::error(
                format!("unknown key `{}`", entry.key),
                entry.span,
                format!("not a key of {what}"),
            );
            let help = found.map(|(help, _)| help);
            self.fault(fault.help(help.unwrap_or_else(|| suggest(&entry.key, &known))));
        }
        Some(kept)
    }

    /// The value of a key that the spec must have.
    pub fn required<'n>(&mut self, spec: &'n Node, key: &Key) -> Option<&'n Node> {
        let node = spec.get(key.name);
        if node.is_none() && matches!(spec.kind, Kind::Map(_)) {
            self.missing(Some(spec), spec.top(), "the spec", key);
        }
        node
    }

    /// The entries of a map with any keys.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        self.wrong(node, what, "a map `{key: value}`");
        None
    }

    /// The items of a list.
    pub fn items<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        if let Kind::List(items) = &node.kind {
            return Some(items);
        }
        self.wrong(node, what, "a list `[a, b]`");
        None
    }

    /// The one entry of a map, `{sgd: {...}}`, or a name alone, whose settings are then all defaults.
    pub fn choice<'n>(&mut self, node: &'n Node, what: &str) -> Option<(&'n str, Span, Option<&'n Node>)> {
        if let Some(fault) = choice_by_setting(node, what) {
            self.fault(fault);
            return None;
        }
        match &node.kind {
            Kind::Scalar { text, .. } if !text.is_empty() => Some((text, node.span, None)),
            Kind::Map(entries) if entries.len() == 1 => {
                let entry = &entries[0];
                Some((&entry.key, entry.span, (!entry.value.is_empty()).then_some(&entry.value)))
            }
            Kind::Map(entries) if entries.len() > 1 => {
                let mut fault =
                    Diagnostic::error(format!("{what} is one of a kind"), entries[1].span, "a second one");
                fault = fault.label(entries[0].span, "the first").help("keep one of them");
                self.fault(fault);
                None
            }
            _ => {
                self.wrong(node, what, "a name, or a map with one key");
                None
            }
        }
    }

    /// A plain or quoted text that is not empty.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar { text, .. } if !text.is_empty() => Some(text),
            _ => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    /// A size of memory, in bytes.
    pub fn bytes(&mut self, node: &Node, what: &str) -> Option<u64> {
        let size = match &node.kind {
            Kind::Scalar { text, .. } => size::parse(text),
            _ => None,
        };
        if size.is_none() {
            self.wrong(node, what, "a size with its unit, as `4GiB` or `800MB`");
        }
        size
    }

    /// `true` or `false`, without quotes.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.plain() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                self.wrong(node, what, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number within a range; `25_557_032` and `1e3` are ones.
    pub fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(value) = number::of(node).filter(|v| v.fract() == 0.0) else {
            self.wrong(node, what, "a whole number");
            return None;
        };
        // 2^53: from there on f64 does not hold every integer, but the digits themselves may.
        let whole = number::exact(node).or((0.0..9e15).contains(&value).then_some(value as u64));
        match whole.filter(|v| range.contains(v)) {
            Some(whole) => Some(whole),
            None => {
                match *range.end() {
                    most if most < u64::from(u32::MAX) => {
                        self.out_of_range(node, what, range.start(), range.end());
                    }
                    _ => {
                        let fault = format!("{what} must be {} or more", range.start());
                        self.fault(Diagnostic::error(
                            fault,
                            node.span,
                            format!("this is {}", node.describe()),
                        ));
                    }
                }
                None
            }
        }
    }

    /// As [`Reader::integer`], for counts.
    pub fn count(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<usize> {
        self.integer(node, what, range).map(|v| v as usize)
    }

    /// A finite number within a range.
    pub fn number(&mut self, node: &Node, what: &str, range: RangeInclusive<f64>) -> Option<f32> {
        // Groups are for whole numbers.
        let Some(value) = number::of(node).filter(|_| node.plain().is_none_or(|text| !text.contains('_')))
        else {
            self.wrong(node, what, "a number");
            return None;
        };
        if range.contains(&value) {
            return Some(value as f32);
        }
        self.out_of_range(node, what, range.start(), range.end());
        None
    }

    /// Text in the unit language, as it stands in the source.
    pub fn language(&mut self, node: &Node, what: &str) -> Option<Text<'s>> {
        let Kind::Scalar { text, style } = &node.kind else {
            self.wrong(node, what, "a text of the unit language, such as `conv3x3(16) -> bn`");
            return None;
        };
        if text.trim().is_empty() {
            self.wrong(node, what, "a text of the unit language, such as `conv3x3(16) -> bn`");
            return None;
        }
        let whole = self.sources.text(node.span);
        let (skip, length) = match style {
            ScalarStyle::Plain => (0, whole.len()),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (1, whole.len().saturating_sub(2)),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header =
                    if whole.starts_with(['|', '>']) { whole.find('\n').map_or(0, |n| n + 1) } else { 0 };
                (header, whole.len() - header)
            }
        };
        let start = node.span.start + skip as u32;
        let span = Span { start, end: start + length as u32, ..node.span };
        Some(Text { text: self.sources.text(span), span })
    }

    /// Notes that a value is of another kind than it should be.
    pub fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let found =
            if node.is_empty() { "nothing here".into() } else { format!("this is {}", node.describe()) };
        let fault = Diagnostic::error(format!("{what} must be {wanted}"), node.span, found);
        self.fault(match way_out(node, what, wanted) {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    fn out_of_range(&mut self, node: &Node, what: &str, low: &impl Display, high: &impl Display) {
        let range = format!("{what} must lie between {low} and {high}");
        self.fault(Diagnostic::error(range, node.span, format!("this is {}", node.describe())));
    }

    /// Notes that a map has no such key, unless a misspelt one was reported already.
    pub fn missing(&mut self, map: Option<&Node>, section: Span, what: &str, key: &Key) {
        let Key { name: key, example, .. } = *key;
        let misspelt = |entry: &Entry| {
            self.meant.iter().any(|(span, meant)| (*span, meant.as_str()) == (entry.span, key))
        };
        // That it is no map was told.
        if map.is_some_and(|map| !matches!(map.kind, Kind::Map(_))) {
            return;
        }
        // A stage's unit may be the spec's.
        if key == "unit" && self.meant.iter().any(|(_, meant)| meant == key) {
            return;
        }
        if matches!(map.map(|m| &m.kind), Some(Kind::Map(entries)) if entries.iter().any(misspelt)) {
            return;
        }
        let fault = Diagnostic::error(format!("{what} has no `{key}`"), section, "in here");
        self.fault(fault.help(format!("add `{key}: {example}`")));
    }

    /// Notes a name that is not one of the known.
    pub fn unknown(&mut self, what: &str, name: &str, span: Span, known: &[&str]) {
        let fault = Diagnostic::error(format!("unknown {what} `{name}`"), span, "not known");
        self.fault(fault.help(foreign::value(what, name).unwrap_or_else(|| suggest(name, known))));
    }
}

/// The key that a text begins with, where only a space or a colon is missing: `{epochs:3}`, `{epochs 3}`, `{epochs=3}`.
fn glued<'k>(text: &str, known: &[&'k str]) -> Option<(String, &'k str)> {
    let end = text.find([':', ' ', '='])?;
    let (key, value) = (&text[..end], text[end..].trim_start_matches([':', ' ', '=']));
    let key = known.iter().find(|&&known| known == key).filter(|_| !value.is_empty())?;
    Some((format!("a colon and a space stand behind a key: `{key}: {value}`"), key))
}

/// `{type: sgd, lr: 0.1}` and `sgd(lr=0.1)`, where `{sgd: {lr: 0.1}}` is meant.
fn choice_by_setting(node: &Node, what: &str) -> Option<Diagnostic> {
    let (span, name) = match &node.kind {
        Kind::Map(entries) => {
            let kind = |entry: &&Entry| matches!(entry.key.as_str(), "name" | "type" | "kind" | "class");
            let entry = entries.iter().find(kind)?;
            (entry.span, entry.value.plain()?)
        }
        Kind::Scalar { text, .. } => (node.span, &text[..text.find('(')?]),
        Kind::List(_) => return None,
    };
    let name = name.to_lowercase();
    let fault = Diagnostic::error(format!("{what} names its kind by a key"), span, "not by this");
    let key = what.trim_matches('`');
    Some(fault.help(format!("write `{key}: {name}`, or `{key}: {{{name}: {{...}}}}` with its settings")))
}

/// What to write instead of a value of the wrong kind, where that is plain.
fn way_out(node: &Node, what: &str, wanted: &str) -> Option<String> {
    let Kind::Scalar { text, style } = &node.kind else { return instead_of_nodes(node, what, wanted) };
    let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if text.is_empty() {
        let place = if what == "a spec" { "" } else { ", further to the right than the key" };
        let help = format!("write a line `key: value` for each setting{place}");
        return wanted.starts_with("a map").then_some(help);
    }
    if wanted.contains("`true`") {
        return flag(text, quoted);
    }
    if wanted.contains("number") {
        return match number::of(&Node { kind: Kind::plain(text), ..*node }) {
            Some(_) if quoted => Some("take the quotes off: in quotes it is a text".into()),
            _ => number::way_out(text),
        };
    }
    if wanted.starts_with("a list") {
        let sizes = text.split(['x', 'X', '×', ',']).map(str::trim).collect::<Vec<_>>();
        let numbers = sizes.iter().all(|size| number::of_text(size).is_some());
        return match (numbers, sizes.len()) {
            (true, 1) => None,
            (true, _) => Some(format!("write `[{}]`", sizes.join(", "))),
            (false, _) => Some(format!("write `[{}]`", text.trim())),
        };
    }
    if wanted.starts_with("a map") {
        return foreign::section(what).map(|settings| settings.replace("{}", text.trim()));
    }
    None
}

/// What to write instead of a list or a map.
fn instead_of_nodes(node: &Node, what: &str, wanted: &str) -> Option<String> {
    let layers = wanted.contains("unit language");
    match &node.kind {
        Kind::List(_) if wanted.starts_with("a map") => {
            Some("write the keys without dashes before them".into())
        }
        Kind::List(items) if layers => {
            let texts = items.iter().map(Node::plain).collect::<Option<Vec<&str>>>()?;
            Some(match texts.as_slice() {
                [text] => format!("take the brackets off: `{text}`"),
                texts => format!("layers are one text, joined by arrows: `{}`", texts.join(" -> ")),
            })
        }
        Kind::Map(_) if what == "a unit's body" => Some(
            "bindings are one text: write `|` behind the signature, and `main = ...` on lines of their own"
                .into(),
        ),
        Kind::Map(_) if wanted.starts_with("a list") => {
            Some("write `- ` before its first key, or brackets around it: a list may have one item".into())
        }
        Kind::List(_) | Kind::Map(_) | Kind::Scalar { .. } => None,
    }
}

/// The flag that is meant by a word which YAML 1.1, Python or a form has for one.
fn flag(text: &str, quoted: bool) -> Option<String> {
    let value = match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "y" | "t" => "true",
        "false" | "no" | "off" | "0" | "n" | "f" | "none" => "false",
        _ => return None,
    };
    let reason = match text {
        "true" | "false" if quoted => "; in quotes it is a text",
        text if text.eq_ignore_ascii_case(value) => ", in small letters",
        _ => "",
    };
    Some(format!("write `{value}`{reason}"))
}
