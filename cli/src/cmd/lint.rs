//! `resnetc lint`: what publications advise against.

use resnetc::error::WIDTH;
use resnetc_compiler::diagnostic::{Diagnostic, render};
use resnetc_compiler::lint::{Finding, Subject};
use resnetc_compiler::source::SourceMap;
use serde::Serialize;

use super::spec;
use crate::args::LintArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// A warning for programs.
#[derive(Debug, Serialize)]
struct Row<'a> {
    rule: &'a str,
    source: &'a str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    help: Option<&'a str>,
}

/// Runs the command.
pub fn lint(args: &LintArgs, output: &Output) -> Result {
    // What the spec itself warns of is a rule, and told with the others.
    let spec = spec::open(&args.spec, &spec::options(&args.overrides))?;
    let (network, sources) = (spec.expand()?, spec.sources());
    let findings = resnetc_compiler::lint::lint(&Subject { spec: spec.resolved(), graph: &network.graph });
    if args.json {
        let rows: Vec<Row<'_>> = findings.iter().map(|finding| row(finding, sources)).collect();
        output.result(&serde_json::to_string_pretty(&rows).expect("rows have only string keys"))?;
    } else if findings.is_empty() {
        output.note(&format!("{}: nothing to warn of", args.spec))?;
    } else {
        let warnings: Vec<Diagnostic> = findings.iter().map(with_source).collect();
        output.result(&render(
            &warnings,
            sources,
            output.page.color,
            output.page.columns.unwrap_or(WIDTH),
        ))?;
    }
    if args.strict && !findings.is_empty() { Err(Failure::Found) } else { Ok(()) }
}

/// The warning, its rule and who found it.
fn with_source(finding: &Finding) -> Diagnostic {
    let mut diagnostic = finding.diagnostic.clone();
    let help = diagnostic.help.take().map_or(String::new(), |help| format!("{help}\n"));
    diagnostic.help(format!("{help}{}: {}", finding.rule.name, finding.rule.source))
}

fn row<'a>(finding: &'a Finding, sources: &'a SourceMap) -> Row<'a> {
    let span = finding.diagnostic.labels.first().map(|label| label.span);
    let place = span.and_then(|span| sources.line_column(span));
    Row {
        rule: finding.rule.name,
        source: finding.rule.source,
        message: &finding.diagnostic.message,
        file: span.and_then(|span| sources.get(span.source)).map(|source| source.name.as_str()),
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        help: finding.diagnostic.help.as_deref(),
    }
}
