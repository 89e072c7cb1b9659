//! The spec as it was written: a tree of YAML values, each with the span of its text.
//!
//! The tree is composed from parser events rather than through serde, because a serde reader stops at its first
//! fault: here duplicate keys, unknown keys and wrong types of a whole file are found in one go, and every key and
//! value (not only the innermost one) knows its bytes. Aliases are expanded while composing, within [`MAX_NODES`].

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, SourceMap, Span};

/// Longest text of one spec, in bytes.
pub const MAX_BYTES: usize = 256 << 10;
/// Deepest nesting of lists and maps.
pub const MAX_NESTING: usize = 32;
/// Most values of one spec, aliases expanded.
pub const MAX_NODES: usize = 20_000;

/// A value with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The whole value: of a scalar its characters, of a collection from the first to the last child.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Plain, quoted or block text.
    Scalar {
        /// Its value.
        text: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// In order of writing.
    List(Vec<Node>),
    /// In order of writing; keys are unique.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its text.
    pub span: Span,
    /// What it maps to.
    pub value: Node,
}

impl Node {
    /// What people call such a value.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar { text, .. } if text.is_empty() => "nothing".into(),
            Kind::Scalar { text, .. } if text.len() > 40 => "text".into(),
            Kind::Scalar { text, style: ScalarStyle::Plain } => format!("`{text}`"),
            Kind::Scalar { text, .. } => format!("the text `{}`", text.trim()),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// Whether it is an empty plain scalar: `key:` with nothing behind.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: ScalarStyle::Plain } if text.is_empty())
    }

    fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Node::count).sum(),
            Kind::Map(entries) => entries.iter().map(|e| 1 + e.value.count()).sum(),
        }
    }
}

/// Reads a source's text from byte `start` on as one YAML value.
pub fn parse(sources: &SourceMap, id: SourceId, start: usize) -> Result<Node, Vec<Diagnostic>> {
    let text = sources.get(id).map_or("", |s| &s.text);
    let at = |start: usize, end: usize| Span { source: id, start: start as u32, end: end as u32 };
    if text.len() > MAX_BYTES {
        return Err(vec![
            Diagnostic::error("the spec is too long", at(0, 0), format!("{} bytes", text.len()))
                .help(format!("a spec has at most {MAX_BYTES} bytes; state repeated stages by their depth")),
        ]);
    }
    let body = text.get(start..).unwrap_or("");
    // The composer counts levels too; these keep the scanner itself from going deep.
    let options = granit_parser::options! {
        flow_nesting_limit: 2 * MAX_NESTING,
        block_nesting_limit: 2 * MAX_NESTING,
        emit_comments: false,
    };
    let mut composer = Composer {
        events: Parser::new_from_str_with_options(body, options),
        source: id,
        text: body,
        base: start,
        depth: 0,
        nodes: 0,
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

struct Composer<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    source: SourceId,
    text: &'t str,
    base: usize,
    depth: usize,
    nodes: usize,
    anchors: HashMap<usize, (Node, usize)>,
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
        Box::new(Diagnostic::error(
            format!("this is not YAML: {}", error.info()),
            span,
            "the reader stopped here",
        ))
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
                let Some((node, count)) = self.anchors.get(&id) else {
                    return Err(Box::new(Diagnostic::error(
                        "this alias stands inside its own anchor",
                        span,
                        "the value would contain itself",
                    )));
                };
                self.nodes += count;
                let copy = (self.nodes <= MAX_NODES).then(|| node.clone());
                self.check_size(span)?;
                copy.expect("the size was just checked")
            }
            _ => {
                return Err(Box::new(Diagnostic::error("this is not YAML", span, "a value was expected")));
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), node.count()));
        }
        Ok(node)
    }

    fn check_size(&self, span: Span) -> Result<(), Fatal> {
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Box::new(
            Diagnostic::error("the spec has too many values", span, "the limit is reached here")
                .help(format!("aliases count with all they stand for; {MAX_NODES} values are the limit")),
        ))
    }

    fn nested(
        &mut self,
        start: Span,
        read: fn(&mut Self, &mut Span) -> Result<Kind, Fatal>,
    ) -> Result<Node, Fatal> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(Box::new(
                Diagnostic::error("the spec is nested too deeply", start, "one level too many")
                    .help(format!("{MAX_NESTING} levels are the limit")),
            ));
        }
        let mut span = start;
        let kind = read(self, &mut span)?;
        self.depth -= 1;
        Ok(Node { span: self.trim(span), kind })
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
            if let Some(first) = entries.iter().find(|e| e.key == text) {
                self.faults.push(
                    Diagnostic::error(format!("the key `{text}` stands twice"), key.span, "again here")
                        .label(first.span, "first here")
                        .help("keep one of the two"),
                );
                continue;
            }
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
