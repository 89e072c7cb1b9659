//! The spec as it was written: a tree of YAML values, each with the span of its text.
//!
//! The tree is composed from parser events rather than through serde, because a serde reader stops at its first
//! fault: here duplicate keys, unknown keys and wrong types of a whole file are found in one go, and every key and
//! value (not only the innermost one) knows its bytes. Aliases are expanded while composing, within [`Limits`].

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

use super::node::{Entry, Kind, Node};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, SourceMap, Span};
use crate::spec::limits::Limits;

/// Reads a source's text from byte `start` on as one YAML value.
pub fn parse(
    sources: &SourceMap,
    id: SourceId,
    start: usize,
    limits: &Limits,
) -> Result<Node, Vec<Diagnostic>> {
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
    };
    match composer.document() {
        Ok(node) if composer.faults.is_empty() => Ok(node),
        Ok(_) => Err(composer.faults),
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
        let fault = format!("this is not YAML: {}", error.info());
        let fault = Diagnostic::error(fault, span, "the reader stopped here");
        Box::new(fault.help("look before it for a bracket or a quote that is not closed, or for indentation"))
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    let nothing = Kind::Scalar { text: String::new(), style: ScalarStyle::Plain };
                    return Ok(Node { span, kind: nothing });
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
            Event::Scalar(text, style, _, _) => {
                // The parser gives `~` for a value that is not there.
                let null = style == ScalarStyle::Plain && text == "~";
                let kind = Kind::Scalar { text: if null { String::new() } else { text.into_owned() }, style };
                Node { span: self.trim(span), kind }
            }
            Event::SequenceStart(..) => self.nested(span, Self::list)?,
            Event::MappingStart(..) => self.nested(span, Self::map)?,
            Event::Alias(id) => {
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
                copy.expect("the size was just checked")
            }
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
        read: fn(&mut Self, &mut Span) -> Result<Kind, Fatal>,
    ) -> Result<Node, Fatal> {
        self.depth += 1;
        if self.depth > self.limits.nesting {
            return Err(self.too_deep(start));
        }
        let mut span = start;
        let kind = read(self, &mut span)?;
        self.depth -= 1;
        Ok(Node { span: self.trim(span), kind })
    }

    fn too_deep(&self, span: Span) -> Fatal {
        let fault = Diagnostic::error("the spec is nested too deeply", span, "one level too many");
        Box::new(fault.help(self.limits.way_out("nesting")))
    }

    fn list(&mut self, whole: &mut Span) -> Result<Kind, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                whole.end = whole.end.max(span.end);
                return Ok(Kind::List(items));
            }
            let item = self.node(event, span)?;
            whole.end = whole.end.max(item.span.end);
            items.push(item);
        }
    }

    fn map(&mut self, whole: &mut Span) -> Result<Kind, Fatal> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                whole.end = whole.end.max(span.end);
                return Ok(Kind::Map(entries));
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            whole.end = whole.end.max(value.span.end);
            let Kind::Scalar { text, .. } = key.kind else {
                self.faults.push(Diagnostic::error("a key must be a name", key.span, "not a name"));
                continue;
            };
            if let Some(&first) = places.get(&text) {
                self.faults.push(
                    Diagnostic::error(format!("the key `{text}` stands twice"), key.span, "again here")
                        .label(first, "first here")
                        .help("keep one of the two"),
                );
                continue;
            }
            places.insert(text.clone(), key.span);
            entries.push(Entry { key: text, span: key.span, value });
        }
    }

    /// A span without the white space at its end, which block scalars and collections have.
    fn trim(&self, span: Span) -> Span {
        let (start, end) = (span.start as usize - self.base, span.end as usize - self.base);
        let kept = self.text.get(start..end).map_or(end - start, |t| t.trim_end().len());
        Span { end: span.start + kept as u32, ..span }
    }
}
