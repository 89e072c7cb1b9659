//! Source texts and byte ranges into them.
//!
//! Every value of a spec, every node of the graph and every diagnostic points back at the text that caused it
//! through a [`Span`]; the [`SourceMap`] turns one into a file, line and column.

use std::sync::Arc;

/// Index of a [`Source`] in its [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A half-open byte range `start..end` of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text that the range lies in.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of what no text wrote: nodes made by hand in tests.
    pub const NONE: Span = Span { source: SourceId(u32::MAX), start: 0, end: 0 };

    /// Whether this is [`Span::NONE`].
    pub fn is_none(self) -> bool {
        self == Span::NONE
    }
}

/// A value and the text it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its text; of a default, the section's that could have given it.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a value to its text.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }
}

/// A piece of a source's text, handed to the parser.
#[derive(Debug, Clone, Copy)]
pub struct Text<'t> {
    /// The characters under `span`.
    pub text: &'t str,
    /// Where they stand.
    pub span: Span,
}

/// One text: a spec file, a compiled-in spec or unit, or a command-line override.
#[derive(Debug, Clone)]
pub struct Source {
    /// What people call it: a path, `<builtin>/units.yaml`, or `--set`.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All texts of one compilation.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.sources.push(Source { name: name.into(), text: text.into() });
        SourceId(self.sources.len() as u32 - 1)
    }

    /// The text behind an id; none for [`Span::NONE`]'s.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// All names, in the order in which the texts came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }

    /// The slice of text under a span; empty where there is none.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// `(line, column)` of the span's start, both from 1; columns count characters.
    pub fn line_column(&self, span: Span) -> Option<(usize, usize)> {
        let before = self.get(span.source)?.text.get(..span.start as usize)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Some((line, column))
    }

    /// `file:line` of the span's start, for reports.
    pub fn place(&self, span: Span) -> Option<String> {
        let (line, _) = self.line_column(span)?;
        Some(format!("{}:{line}", self.get(span.source)?.name))
    }
}
