//! Diagnostics as text: source lines, underlines, help. Drawn by miette.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::{Diagnostic, Label, Severity};
use crate::source::{SourceId, SourceMap};

/// All diagnostics, one after another; the same text for the same input. Lines wrap at `width` columns.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    let mut out = String::new();
    for diagnostic in diagnostics {
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
        let part = |id: &SourceId, severity, message: String, help| {
            let source = sources.get(*id);
            let length = source.map_or(0, |s| s.text.len());
            Report {
                severity,
                message,
                help,
                source: source.map(|s| NamedSource::new(&s.name, s.text.to_string())),
                labels: diagnostic
                    .labels
                    .iter()
                    .filter(|l| l.span.source == *id)
                    .map(|l| mark(l, length))
                    .collect(),
                related: Vec::new(),
            }
        };
        let nowhere = SourceId(u32::MAX);
        let (first, rest) = order.split_first().map_or((&nowhere, &[][..]), |(f, r)| (f, r));
        let related = rest
            .iter()
            .map(|id| part(id, miette::Severity::Advice, "which comes from here".into(), None))
            .collect();
        let help = diagnostic.help.clone();
        Report { related, ..part(first, severity, diagnostic.message.clone(), help) }
    }
}

fn mark(label: &Label, length: usize) -> LabeledSpan {
    let end = (label.span.end as usize).min(length);
    let start = (label.span.start as usize).min(end);
    LabeledSpan::new(Some(label.text.clone()), start, end - start)
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
