//! `resnetc list`: the compiled-in networks, or the data sets that have names.

use resnetc::{Spec, SpecOptions};
use resnetc_compiler::datasets::DATASETS;
use resnetc_compiler::spec::builtin::{self, Shipped};
use serde::Serialize;

use crate::args::ListArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::{grouped, shape, si};

/// A compiled-in network.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    params: u64,
    macs: u64,
    input: [usize; 3],
    about: &'static str,
    file: &'static str,
}

/// Runs the command.
pub fn list(args: &ListArgs, output: &Output) -> Result {
    match args.datasets {
        true => datasets(args, output),
        false => networks(args, output),
    }
}

fn datasets(args: &ListArgs, output: &Output) -> Result {
    if args.json {
        return output.result(&serde_json::to_string_pretty(&DATASETS).expect("facts have only string keys"));
    }
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("classes", Align::Right),
        ("input", Align::Right),
        ("about", Align::Left),
    ]);
    for facts in DATASETS {
        table.row([facts.name.into(), facts.classes.to_string(), shape(&facts.input), facts.about.into()]);
    }
    output.result(&table.within(output.page.columns))
}

fn networks(args: &ListArgs, output: &Output) -> Result {
    let rows: Vec<Row> = builtin::specs().map(row).collect::<Result<_>>()?;
    if args.json {
        return output.result(&serde_json::to_string_pretty(&rows).expect("rows have only string keys"));
    }
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("input", Align::Right),
        ("about", Align::Left),
    ]);
    for row in rows {
        let cells = [row.name.into(), grouped(row.params), si(row.macs), shape(&row.input), row.about.into()];
        table.row(cells);
    }
    output.result(&table.within(output.page.columns))
}

fn row(shipped: Shipped) -> Result<Row> {
    let Shipped { name, file, text } = shipped;
    let spec = Spec::builtin(name, &SpecOptions::default())?;
    let summary = spec.expand()?.summary;
    let (params, macs, input) = (summary.params, summary.macs, spec.resolved().input.value);
    Ok(Row { name, params, macs, input, about: about(text), file })
}

/// The comment that the spec begins with: its first line.
fn about(text: &'static str) -> &'static str {
    text.lines().next().and_then(|line| line.strip_prefix('#')).map_or("", str::trim)
}
