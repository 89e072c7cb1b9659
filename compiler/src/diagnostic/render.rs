//! Diagnostics as text: source lines, underlines, help. Drawn by miette.

use std::fmt::{self, Write};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::types::{Diagnostic, Label, Severity};
use super::visible::{drawable, written_out};
use crate::source::{Source, SourceId, SourceMap};

/// Number of diagnostics, and of bytes of text, that are printed: more have few causes.
const MOST: usize = 100;
const MOST_BYTES: usize = 256 << 10;

/// Longest line that is drawn, in bytes. Of longer ones only the place is named.
const LONGEST_LINE: usize = 2000;

/// The diagnostics one after another, up to a limit. The same input gives the same text. Lines wrap at `width` columns.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    let mut out = String::new();
    for (i, diagnostic) in diagnostics.iter().enumerate() {
        if i == MOST || out.len() > MOST_BYTES {
            writeln!(out, "  and {} more", diagnostics.len() - i)
                .expect("a string takes all that is written");
            break;
        }
        let report = Report::new(diagnostic, sources);
        handler.render_report(&mut out, &report).expect("a string takes all that is written");
        out.push('\n');
    }
    out
}

/// The labels of one source. Those of further sources hang below the first as related reports.
#[derive(Debug)]
struct Report {
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    related: Vec<Report>,
}

impl Report {
    fn new(diagnostic: &Diagnostic, sources: &SourceMap) -> Self {
        let mut order: Vec<SourceId> = Vec::new();
        for label in &diagnostic.labels {
            if !order.contains(&label.span.source) && sources.get(label.span.source).is_some() {
                order.push(label.span.source);
            }
        }
        let severity = match diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let part = |id: &SourceId, severity, message: String, help: Option<String>| {
            let labels: Vec<&Label> = diagnostic.labels.iter().filter(|l| l.span.source == *id).collect();
            let related = Vec::new();
            match sources.get(*id) {
                Some(source) if is_drawable(source, &labels) => {
                    let marks = labels.iter().map(|label| mark(label, source.text.len())).collect();
                    let text = drawable(&source.text);
                    let source = Some(NamedSource::new(written_out(&source.name), text));
                    Report { severity, message, help, source, labels: marks, related }
                }
                _ => {
                    let places = places(&labels, sources).map(|place| written_out(&place));
                    let help = places.chain(help).collect::<Vec<_>>().join("\n");
                    let help = (!help.is_empty()).then_some(help);
                    Report { severity, message, help, source: None, labels: Vec::new(), related }
                }
            }
        };
        let nowhere = SourceId(u32::MAX);
        let (first, rest) = order.split_first().map_or((&nowhere, &[][..]), |(f, r)| (f, r));
        let related = rest
            .iter()
            .map(|id| part(id, miette::Severity::Advice, "which comes from here".into(), None))
            .collect();
        let help = diagnostic.help.as_deref().map(written_out);
        Report { related, ..part(first, severity, written_out(&diagnostic.message), help) }
    }
}

/// Whether the lines that the labels stand in, and their neighbours, are of a length to be read.
fn is_drawable(source: &Source, labels: &[&Label]) -> bool {
    let text = source.text.as_bytes();
    let start = labels.iter().map(|label| label.span.start as usize).min().unwrap_or(0).min(text.len());
    let end = labels.iter().map(|label| label.span.end as usize).max().unwrap_or(0).clamp(start, text.len());
    let before = text[..start].iter().rev().enumerate().filter(|(_, c)| **c == b'\n').nth(1);
    let after = text[end..].iter().enumerate().filter(|(_, c)| **c == b'\n').nth(1);
    let first = before.map_or(0, |(back, _)| start - back);
    let last = after.map_or(text.len(), |(on, _)| end + on);
    text[first..last].split(|&c| c == b'\n').all(|line| line.len() <= LONGEST_LINE)
}

/// `at mine.yaml:4:31: not a layer`
fn places<'a>(labels: &'a [&'a Label], sources: &'a SourceMap) -> impl Iterator<Item = String> + 'a {
    labels.iter().filter_map(|label| {
        let (_, column) = sources.line_column(label.span)?;
        Some(format!("at {}:{column}: {}", sources.place(label.span)?, label.text))
    })
}

fn mark(label: &Label, length: usize) -> LabeledSpan {
    let end = (label.span.end as usize).min(length);
    let start = (label.span.start as usize).min(end);
    LabeledSpan::new(Some(written_out(&label.text)), start, end - start)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<_>)
    }

    fn related(&self) -> Option<Box<dyn Iterator<Item = &dyn miette::Diagnostic> + '_>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|report| report as &dyn miette::Diagnostic)))
    }
}
