//! `resnetc reproduce`: the networks of a published table, trained again, and their errors beside the published ones.
//!
//! A row is a sweep over seeds, in a folder of its own: what a sweep resumes, refuses and survives, a table does too.

mod estimate;
mod plan;
mod report;
mod scale;
mod train;

use resnetc::PublishedTable;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::tables;
use serde::Serialize;

use super::setup::Setup;
use crate::args::ReproduceArgs;
use crate::environment::Environment;
use crate::failure::Result;
use crate::output::Output;
use crate::report::table::{Align, Table};

/// Runs the command.
pub fn reproduce(args: &ReproduceArgs, environment: &Environment, output: &Output) -> Result {
    let Some(name) = &args.table else { return list(args.json, output) };
    let table = PublishedTable::open(name, &args.overrides.bounds.limits())?;
    // As JSON, the result is all that is printed.
    let notes = if args.json { &output.quieted() } else { output };
    let setup = Setup::new(&plan::common(args), environment, output)?;
    let plan = plan::Plan::new(args, &table, &setup, notes)?;
    estimate::tell(&plan, args.dry_run, &setup, notes)?;
    match args.dry_run {
        true => Ok(()),
        false => train::train(&plan, args.json, &setup, notes, output),
    }
}

/// A compiled-in table, as `--json` lists it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    rows: Vec<String>,
    dataset: String,
    title: String,
    source: Option<String>,
}

fn list(json: bool, output: &Output) -> Result {
    let listed: Vec<Listed> = tables::tables().map(listed).collect::<Result<_>>()?;
    if json {
        return output.result(&serde_json::to_string_pretty(&listed).expect("rows have only string keys"));
    }
    let mut table = Table::new(&[
        ("table", Align::Left),
        ("rows", Align::Right),
        ("data", Align::Left),
        ("about", Align::Left),
    ]);
    for Listed { name, rows, dataset, title, .. } in listed {
        table.row([name.to_owned(), rows.len().to_string(), dataset, title]);
    }
    output.result(&table.within(output.page.columns))?;
    output.note("\nresnetc reproduce TABLE --dry-run says what a table takes here")
}

fn listed(shipped: tables::Shipped) -> Result<Listed> {
    let table = PublishedTable::shipped(shipped, &Limits::default())?.table;
    let rows = table.rows.into_iter().map(|row| row.id.value).collect();
    Ok(Listed { name: shipped.name, rows, dataset: table.dataset, title: table.title, source: table.source })
}
