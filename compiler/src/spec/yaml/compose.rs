//! The spec as it was written: a tree of YAML values, each with the span of its text.
//!
//! The tree is composed from parser events rather than through serde, because a serde reader stops at its first
//! fault: here duplicate keys, unknown keys and wrong types of a whole file are found in one go, and every key and
//! value (not only the innermost one) knows its bytes. Aliases are expanded while composing, within [`Limits`].

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag};

use super::cut::{self, Body, Pair};
use super::merge_key;
use super::node::{Entry, Kind, Node};
use super::syntax;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::look_alikes::{self, LookAlike};
use crate::source::{SourceId, SourceMap, Span};
use crate::spec::limits::Limits;

/// A text as a tree.
#[derive(Debug)]
pub struct Document {
    /// The tree. What a fault spoilt is mended or left out, so that the rest can be read.
    pub node: Node,
    /// Faults that did not end the reading.
    pub faults: Vec<Diagnostic>,
    /// Values that such a fault left without a meaning: what else is said of them follows from it.
    pub spoilt: Vec<Span>,
}

/// Reads a source's text from byte `start` on as one YAML value.
///
/// # Errors
/// The faults up to one that ends the reading.
pub fn parse(
    sources: &SourceMap,
    id: SourceId,
    start: usize,
    limits: &Limits,
) -> Result<Document, Vec<Diagnostic>> {
    let text = sources.get(id).map_or("", |s| &s.text);
    let at = |start: usize, end: usize| Span { source: id, start: start as u32, end: end as u32 };
    if text.len() > limits.bytes {
        return Err(vec![
            Diagnostic::error("the spec is too long", at(0, 0), "its text begins here")
                .help(limits.way_out("bytes")),
        ]);
    }
    let body = text.get(start..).unwrap_or("");
    // The composer counts levels too; these keep the scanner itself from going deep.
    let options = granit_parser::options! {
        flow_nesting_limit: 2 * limits.nesting,
        block_nesting_limit: 2 * limits.nesting,
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    let mut composer = Composer {
        events: Parser::new_from_str_with_options(body, options),
        source: id,
        text: body,
        base: start,
        limits,
        depth: 0,
        nodes: 0,
        copied: 0,
        anchors: HashMap::new(),
        faults: Vec::new(),
        spoilt: Vec::new(),
    };
    match composer.document() {
        Ok(node) => Ok(Document { node, faults: composer.faults, spoilt: composer.spoilt }),
        Err(fault) => {
            composer.faults.push(*fault);
            Err(composer.faults)
        }
    }
}

/// A fault that ends the reading. Boxed: it is rare, and large.
type Fatal = Box<Diagnostic>;

/// What an alias stands for.
struct Anchor {
    node: Node,
    nodes: usize,
    bytes: usize,
}

struct Composer<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    source: SourceId,
    text: &'t str,
    base: usize,
    limits: &'t Limits,
    depth: usize,
    nodes: usize,
    /// Bytes of text that aliases have copied.
    copied: usize,
    anchors: HashMap<usize, Anchor>,
    faults: Vec<Diagnostic>,
    spoilt: Vec<Span>,
}

impl<'t> Composer<'t> {
    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        let clamp = |offset: usize| (self.base + offset.min(self.text.len())) as u32;
        Span { source: self.source, start: clamp(range.start), end: clamp(range.end.max(range.start)) }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Fatal> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.span(&span))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, self.end())),
        }
    }

    fn end(&self) -> Span {
        let end = (self.base + self.text.len()) as u32;
        Span { source: self.source, start: end, end }
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let offset = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let start = (self.base + offset) as u32;
        let width = self.text[offset..].chars().next().filter(|&c| c != '\n').map_or(0, char::len_utf8);
        let span = Span { source: self.source, start, end: start + width as u32 };
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return self.too_deep(span);
        }
        let (reason, help) = syntax::explain(error, &self.text[..offset], &self.text[offset..]);
        let fault = Diagnostic::error(format!("this is not YAML: {reason}"), span, "the reader stopped here");
        Box::new(match self.look_alike(offset) {
            Some((found, place)) => fault.label(place, found.what()).help(found.help()),
            None => fault.help(help),
        })
    }

    /// A character in the line where the reader stopped, or the one before, that looks like what it is not.
    fn look_alike(&self, offset: usize) -> Option<(LookAlike, Span)> {
        let line = |end: usize| self.text[..end].rfind('\n').unwrap_or(0);
        let first = line(line(offset));
        let last = self.text[offset..].find('\n').map_or(self.text.len(), |end| offset + end);
        let found = look_alikes::find(&self.text[first..last])?;
        let start = Span { source: self.source, start: (self.base + first) as u32, end: 0 };
        let place = found.span(start);
        Some((found, place))
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node { span: Span { end: span.start, ..span }, kind: Kind::nothing() });
                }
                other => {
                    let node = self.node(other, span)?;
                    self.only_document()?;
                    return Ok(node);
                }
            }
        }
    }

    fn only_document(&mut self) -> Result<(), Fatal> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), span) => {
                    return Err(Box::new(
                        Diagnostic::error("a spec is one YAML document", span, "a second one begins here")
                            .help("put each network into its own file"),
                    ));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Fatal> {
        self.nodes += 1;
        self.check_size(span)?;
        let anchor = event.anchor_id().unwrap_or(0);
        let node = match event {
            Event::Scalar(text, style, _, tag) => {
                self.untagged(tag.as_deref(), span);
                Node { span: self.trim(span), kind: scalar(&text, style) }
            }
            Event::SequenceStart(style, _, tag) => {
                self.untagged(tag.as_deref(), span);
                self.nested(span, style, Self::list)?
            }
            Event::MappingStart(style, _, tag) => {
                self.untagged(tag.as_deref(), span);
                self.nested(span, style, Self::map)?
            }
            Event::UnresolvedAlias(name) => {
                self.faults.push(syntax::unknown_anchor(&name, self.text, span));
                self.spoilt.push(span);
                Node { span, kind: Kind::plain(&format!("*{name}")) }
            }
            Event::Alias(id) => self.alias(id, span)?,
            _ => {
                return Err(Box::new(Diagnostic::error("this is not YAML", span, "a value was expected")));
            }
        };
        if anchor != 0 {
            let (nodes, bytes) = node.size();
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes, bytes });
        }
        Ok(node)
    }

    /// A copy of what an anchor names, within the limits.
    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Fatal> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Box::new(Diagnostic::error(
                "this alias stands inside its own anchor",
                span,
                "the value would contain itself",
            )));
        };
        self.nodes += anchor.nodes;
        self.copied += anchor.bytes;
        let copy = self.fits().then(|| anchor.node.clone());
        self.check_size(span)?;
        Ok(copy.expect("the size was just checked"))
    }

    fn fits(&self) -> bool {
        self.nodes <= self.limits.values && self.copied <= self.limits.bytes
    }

    fn check_size(&self, span: Span) -> Result<(), Fatal> {
        if self.fits() {
            return Ok(());
        }
        let name = if self.nodes > self.limits.values { "values" } else { "bytes" };
        let help = format!("aliases count with all they stand for: {}", self.limits.way_out(name));
        let fault = Diagnostic::error("the spec has too many values", span, "the limit is reached here");
        Err(Box::new(fault.help(help)))
    }

    fn nested(
        &mut self,
        start: Span,
        style: StructureStyle,
        read: fn(&mut Self, StructureStyle, &mut Span) -> Result<Kind, Fatal>,
    ) -> Result<Node, Fatal> {
        self.depth += 1;
        if self.depth > self.limits.nesting {
            return Err(self.too_deep(start));
        }
        let mut span = start;
        let kind = read(self, style, &mut span)?;
        self.depth -= 1;
        Ok(Node { span: self.trim(span), kind })
    }

    fn too_deep(&self, span: Span) -> Fatal {
        let fault = Diagnostic::error("the spec is nested too deeply", span, "one level too many");
        Box::new(fault.help(self.limits.way_out("nesting")))
    }

    fn list(&mut self, style: StructureStyle, whole: &mut Span) -> Result<Kind, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                whole.end = whole.end.max(span.end);
                break;
            }
            let item = self.node(event, span)?;
            whole.end = whole.end.max(item.span.end);
            items.push(item);
        }
        Ok(Kind::List(match style {
            StructureStyle::Flow => cut::join_items(&items, self.body(), &mut self.faults),
            StructureStyle::Block => items,
        }))
    }

    fn map(&mut self, style: StructureStyle, whole: &mut Span) -> Result<Kind, Fatal> {
        let pairs = self.pairs(whole)?;
        let pairs = match style {
            StructureStyle::Flow => cut::join_pairs(&pairs, self.body(), &mut self.faults),
            StructureStyle::Block => pairs,
        };
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        let mut merged = Vec::new();
        for pair in pairs {
            let merge = merge_key::is_merge(&pair);
            let Kind::Scalar { text, .. } = pair.key.kind else {
                self.faults.push(Diagnostic::error("a key must be a name", pair.key.span, "not a name"));
                continue;
            };
            if let Some(&first) = places.get(&text) {
                self.faults.push(twice(&text, pair.key.span, first));
                continue;
            }
            places.insert(text.clone(), pair.key.span);
            match merge {
                true if self.spoilt.contains(&pair.value.span) => {}
                true => merged.push((pair.key.span, pair.value)),
                false => entries.push(Entry { key: text, span: pair.key.span, value: pair.value }),
            }
        }
        for (key, value) in merged {
            merge_key::add(&mut entries, key, value, &mut self.faults);
        }
        Ok(Kind::Map(entries))
    }

    fn pairs(&mut self, whole: &mut Span) -> Result<Vec<Pair>, Fatal> {
        let mut pairs = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                whole.end = whole.end.max(span.end);
                return Ok(pairs);
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            whole.end = whole.end.max(value.span.end);
            pairs.push(Pair { key, value });
        }
    }

    fn body(&self) -> Body<'t> {
        Body { text: self.text, base: self.base }
    }

    /// Notes a tag: what a value is, its key says.
    fn untagged(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag {
            self.faults.push(syntax::tag(tag.original_handle(), tag.suffix(), span));
            self.spoilt.push(span);
        }
    }

    /// A span without the white space at its end, which block scalars and collections have.
    fn trim(&self, span: Span) -> Span {
        let (start, end) = (span.start as usize - self.base, span.end as usize - self.base);
        let kept = self.text.get(start..end).map_or(end - start, |t| t.trim_end().len());
        Span { end: span.start + kept as u32, ..span }
    }
}

/// A plain or quoted text; nothing where YAML says so. The parser gives `~` for a value that is not there.
fn scalar(text: &str, style: ScalarStyle) -> Kind {
    match style {
        ScalarStyle::Plain if matches!(text, "~" | "null" | "Null" | "NULL") => Kind::nothing(),
        style => Kind::Scalar { text: text.to_owned(), style },
    }
}

fn twice(key: &str, again: Span, first: Span) -> Diagnostic {
    let fault = match key {
        "" => "a key without a name stands twice".to_owned(),
        key => format!("the key `{key}` stands twice"),
    };
    let help = if key == "<<" {
        "take over several maps by a list: `<<: [*one, *two]`"
    } else {
        "keep one of the two"
    };
    Diagnostic::error(fault, again, "again here").label(first, "first here").help(help)
}
