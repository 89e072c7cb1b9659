//! `extends:` and `--set`: raw trees merged before they are read. Every value keeps the span of the text that wrote it.
//!
//! What `expect:` says holds of the network it was written for. Where a later text changes the network, what the
//! texts before it expect is dropped; what it expects itself holds.

use super::choices::Choices;
use super::compose::{self, Document};
use super::node::{Entry, Kind, Node};
use super::nothing;
use super::request::Request;
use super::shape::Section;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, SourceMap, Span};
use crate::spec::builtin;
use crate::spec::limits::Limits;

/// Longest chain of `extends`.
const MAX_CHAIN: usize = 8;

/// What names of override sources begin with.
const SET: &str = "--set ";

/// Where a file keeps values that it uses several times: `anchors: {small: &small {depth: 2}}`. Read by YAML alone.
pub const ANCHORS: &str = "anchors";

/// Reads the spec, its bases and the overrides into one tree. `section` has the keys of a spec. Under a key with a choice,
/// another kind replaces the kind that a base has; their settings do not join. Faults that end the reading are an error; the
/// others stand in the document.
pub fn tree(
    request: &Request<'_>,
    section: &Section,
    sources: &mut SourceMap,
) -> Result<Document, Vec<Diagnostic>> {
    let choices = Choices::of(section);
    let mut faults = Vec::new();
    let mut reading =
        Reading { request, choices: &choices, chain: Vec::new(), faults: Vec::new(), spoilt: Vec::new() };
    let mut tree = match reading.file(request.name, request.text, sources) {
        Ok(tree) => tree,
        Err(fatal) => return Err([reading.faults, fatal].concat()),
    };
    for text in request.overrides {
        match set(text, &request.limits, sources) {
            Ok((path, value)) => {
                if path.first().is_some_and(|(key, _)| changes_network(key)) {
                    forget_expectations(&mut tree, sources);
                }
                if let Err(fault) = put(&mut tree, &path, value, &choices) {
                    faults.push(*fault);
                }
            }
            Err(found) => faults.extend(found),
        }
    }
    if let Some(anchors) = take(&mut tree, ANCHORS) {
        let fault = Diagnostic::error("`anchors` cannot be set", anchors.span, "without effect");
        faults.push(fault.help("anchors hold within one file: set the keys that use them"));
    }
    if !faults.is_empty() {
        return Err(reading.faults.into_iter().chain(faults).collect());
    }
    nothing::take_away(&mut tree, section);
    Ok(Document { node: tree, faults: reading.faults, spoilt: reading.spoilt })
}

/// Files as they are read, each with what it extends.
struct Reading<'r> {
    request: &'r Request<'r>,
    choices: &'r Choices,
    /// The files so far.
    chain: Vec<String>,
    /// Faults that did not end the reading.
    faults: Vec<Diagnostic>,
    /// What they spoilt.
    spoilt: Vec<Span>,
}

impl Reading<'_> {
    /// One file with what it extends.
    fn file(&mut self, name: &str, text: &str, sources: &mut SourceMap) -> Result<Node, Vec<Diagnostic>> {
        let id = sources.add(name, text);
        self.chain.push(name.to_string());
        let Document { node: mut own, faults, spoilt } =
            compose::parse(sources, id, 0, &self.request.limits)?;
        self.faults.extend(faults);
        self.spoilt.extend(spoilt);
        take(&mut own, ANCHORS);
        let Some(base) = take(&mut own, "extends").filter(|base| !base.value.is_null()) else {
            return Ok(own);
        };
        let span = base.value.span;
        let wanted = match &base.value.kind {
            Kind::Scalar { text, .. } if !text.is_empty() => text,
            _ => {
                let found = format!("this is {}", base.value.describe());
                return Err(vec![Diagnostic::error("`extends` must be the name of a spec", span, found)]);
            }
        };
        let (base_name, base_text) = open(self.request, name, wanted, span)?;
        if self.chain.contains(&base_name) || self.chain.len() > MAX_CHAIN {
            return Err(vec![self.circle(base_name, span)]);
        }
        let mut tree = self.file(&base_name, &base_text, sources)?;
        if matches!(&own.kind, Kind::Map(entries) if entries.iter().any(|e| changes_network(&e.key))) {
            take(&mut tree, "expect");
        }
        merge(&mut tree, own, self.choices);
        Ok(tree)
    }

    fn circle(&mut self, name: String, span: Span) -> Diagnostic {
        self.chain.push(name);
        let fault = if self.chain.len() > MAX_CHAIN {
            "the chain of `extends` is too long"
        } else {
            "`extends` runs in a circle"
        };
        let fault = Diagnostic::error(fault, span, "closes it");
        fault.help(format!("the chain: {}", self.chain.join(" -> ")))
    }
}

fn changes_network(key: &str) -> bool {
    !matches!(key, "name" | "init" | "train" | "expect" | "sweep")
}

/// Whether a source is an override, `--set key=value`.
pub(crate) fn is_override(sources: &SourceMap, id: SourceId) -> bool {
    sources.get(id).is_some_and(|source| source.name.starts_with(SET))
}

/// Drops what files expect, not what overrides do.
fn forget_expectations(tree: &mut Node, sources: &SourceMap) {
    let Kind::Map(entries) = &mut tree.kind else { return };
    let Some(expect) = entries.iter_mut().find(|e| e.key == "expect") else { return };
    if let Kind::Map(inner) = &mut expect.value.kind {
        inner.retain(|e| is_override(sources, e.span.source));
    }
}

/// The base: a compiled-in name, or a file beside the spec.
fn open(
    request: &Request<'_>,
    from: &str,
    wanted: &str,
    span: Span,
) -> Result<(String, String), Vec<Diagnostic>> {
    if let Some(spec) = builtin::spec(wanted) {
        return Ok((format!("{}{}", builtin::FOLDER, spec.file), spec.text.to_string()));
    }
    let path = match from.rsplit_once('/') {
        Some((folder, _)) if !wanted.starts_with('/') => format!("{folder}/{wanted}"),
        _ => wanted.to_string(),
    };
    let path = clean(&path);
    if let Some(spec) = builtin::file(&path) {
        return Ok((path, spec.text.to_string()));
    }
    match (request.read)(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => {
            let fault = Diagnostic::error(format!("cannot read `{path}`: {error}"), span, "extended here");
            let help = match wanted.contains('/') || wanted.ends_with(".yaml") || wanted.ends_with(".yml") {
                true => format!("`{wanted}` counts from the folder of this spec"),
                false => format!("a file beside the spec, or a compiled-in name{}", builtin::near(wanted)),
            };
            Err(vec![fault.help(help)])
        }
    }
}

/// The path without `.` and `name/..`, so that one file has one name in a chain.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|&last| last != ".." && !last.is_empty()) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn take(node: &mut Node, key: &str) -> Option<Entry> {
    let Kind::Map(entries) = &mut node.kind else { return None };
    let at = entries.iter().position(|e| e.key == key)?;
    Some(entries.remove(at))
}

/// Puts `over` into `base`: maps key by key, everything else replaced whole.
fn merge(base: &mut Node, over: Node, choices: &Choices) {
    let span = over.span;
    match (&mut base.kind, over.kind) {
        (Kind::Map(old), Kind::Map(new)) => {
            for entry in new {
                join(old, entry, choices);
            }
        }
        (_, kind) => base.kind = kind,
    }
    base.span = span;
}

fn join(entries: &mut Vec<Entry>, over: Entry, choices: &Choices) {
    let Some(old) = entries.iter_mut().find(|e| e.key == over.key) else {
        entries.push(over);
        return;
    };
    let replaced = choices.find(&over.key).is_some() && !same_choice(&old.value, &over.value);
    old.span = over.span;
    if replaced {
        old.value = over.value;
    } else {
        merge(&mut old.value, over.value, choices);
    }
}

fn same_choice(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Map(a), Kind::Map(b)) => b.iter().all(|new| a.iter().any(|old| old.key == new.key)),
        _ => false,
    }
}

/// A part of an override's path, with its text.
type Step = (String, Span);

/// Reads `train.optimizer.sgd.lr=0.1`.
fn set(text: &str, limits: &Limits, sources: &mut SourceMap) -> Result<(Vec<Step>, Node), Vec<Diagnostic>> {
    let id = sources.add(format!("{SET}{text}"), text);
    let at = |start: usize, end: usize| Span { source: id, start: start as u32, end: end as u32 };
    let Some((path, _)) = text.split_once('=') else {
        let fault =
            Diagnostic::error("an override has the form `key.key=value`", at(0, text.len()), "no `=` in it");
        return Err(vec![fault.help("for example: --set train.epochs=20")]);
    };
    let mut steps = Vec::new();
    let mut start = 0;
    for part in path.split('.') {
        if part.trim().is_empty() {
            let fault = Diagnostic::error(
                "an override has the form `key.key=value`",
                at(start, start + part.len()),
                "no key",
            );
            return Err(vec![fault]);
        }
        steps.push((part.trim().to_string(), at(start, start + part.len())));
        start += part.len() + 1;
    }
    let Document { node, faults, .. } = compose::parse(sources, id, path.len() + 1, limits)?;
    if faults.is_empty() { Ok((steps, node)) } else { Err(faults) }
}

/// The kind that a section has chosen, by its only key or as a word, which becomes a map then.
fn chosen(section: &mut Node) -> Option<String> {
    let (name, was_word) = match &section.kind {
        Kind::Map(entries) => (entries.first()?.key.clone(), false),
        Kind::Scalar { text, .. } => (text.clone(), true),
        Kind::List(_) => return None,
    };
    if was_word {
        let value = Node { span: section.span, kind: Kind::Map(Vec::new()) };
        let entry = Entry { key: name.clone(), span: section.span, value };
        section.kind = Kind::Map(vec![entry]);
    }
    Some(name)
}

/// Replaces the value where the path leads; maps on the way are made, items of lists must be there.
fn put(tree: &mut Node, path: &[Step], value: Node, choices: &Choices) -> Result<(), Box<Diagnostic>> {
    let Some(((key, span), rest)) = path.split_first() else {
        *tree = value;
        return Ok(());
    };
    let whole = tree.span;
    match &mut tree.kind {
        Kind::List(items) => {
            let count = items.len();
            match key.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                Some(item) => put(item, rest, value, choices),
                None => Err(Box::new(
                    Diagnostic::error(format!("there is no item `{key}`"), *span, "not in the list")
                        .label(whole, format!("the list has {count}, counted from 0")),
                )),
            }
        }
        Kind::Map(entries) => {
            let at = entries.iter().position(|e| e.key == *key).unwrap_or_else(|| {
                let value = Node { span: *span, kind: Kind::Map(Vec::new()) };
                entries.push(Entry { key: key.clone(), span: *span, value });
                entries.len() - 1
            });
            let entry = &mut entries[at];
            entry.span = *span;
            let next = rest.first().map(|(next, _)| next.as_str());
            let choice = choices.find(key);
            if let (Some(choice), Some(next)) = (choice, next)
                && choice.common.contains(&next)
            {
                let chosen = chosen(&mut entry.value).unwrap_or_else(|| choice.default.to_owned());
                let path: Vec<Step> = std::iter::once((chosen, *span)).chain(rest.iter().cloned()).collect();
                return put(&mut entry.value, &path, value, choices);
            }
            let other_kind = choice.is_some() && next.is_some_and(|next| entry.value.get(next).is_none());
            if other_kind || (entry.value.is_empty() && next.is_some()) {
                entry.value = Node { span: *span, kind: Kind::Map(Vec::new()) };
            }
            put(&mut entry.value, rest, value, choices)
        }
        Kind::Scalar { .. } => Err(Box::new(
            Diagnostic::error(
                format!("`{key}` cannot be set here"),
                *span,
                "leads into a value that is no map",
            )
            .label(whole, "the value"),
        )),
    }
}
