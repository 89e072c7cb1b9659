//! What `build` tells: the table of units with totals, and the same as JSON.

use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Summary, UnitRow};
use serde::Serialize;

use super::table::{Align, Table};
use super::units::{bytes, duration, grouped, shape, si};

/// The table of units, then one line for each total. In so many columns of a terminal, if it is one.
pub fn text(summary: &Summary, plan: &Plan, compile: Duration, width: Option<usize>) -> String {
    let mut text = heading(summary, plan);
    text += &units(&summary.units, summary, width);
    text.push('\n');
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<12}{value}").expect("writing to a string");
    };
    line("parameters", grouped(summary.params));
    line("MACs", format!("{} per image, forward", grouped(summary.macs)));
    line("output", shape(&summary.output_shape));
    line("memory", memory(plan));
    line("kernels", format!("{} before fusion, {} after", summary.kernels_before, summary.kernels));
    line("compiled in", duration(compile));
    text
}

fn heading(summary: &Summary, plan: &Plan) -> String {
    let mode = match plan.mode {
        Mode::Infer => "inference",
        Mode::Train => "training",
    };
    let input = &plan.buffer(plan.input).shape.0;
    format!("{} for {mode}, input {}\n\n", summary.name, shape(input))
}

fn units(rows: &[UnitRow], summary: &Summary, width: Option<usize>) -> String {
    let mut table = Table::new(&[
        ("unit", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Right),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("shortcut", Align::Left),
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            if row.kind == row.name { String::new() } else { row.kind.clone() },
            shape(&row.output_shape),
            grouped(row.params),
            si(row.macs),
            row.shortcut.clone().unwrap_or_default(),
        ]);
    }
    table.rule();
    table.row(["total".into(), String::new(), String::new(), grouped(summary.params), si(summary.macs)]);
    table.within(width)
}

fn memory(plan: &Plan) -> String {
    let sizes = plan.sizes;
    let training = match plan.mode {
        Mode::Infer => String::new(),
        Mode::Train => {
            let also: Vec<&str> =
                ["gradients"].into_iter().chain(plan.optimizer.iter().map(String::as_str)).collect();
            format!(" (and as much for each of {})", listed(&also))
        }
    };
    format!("{} arena peak, {} parameters{training}", bytes(sizes.arena), bytes(sizes.params))
}

/// `a, b and c`
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}

/// [`Summary`] and what only the command knows.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    mode: Mode,
    batch: usize,
    compile_ms: f64,
}

/// One JSON object.
pub fn json(summary: &Summary, plan: &Plan, compile: Duration) -> String {
    let json = Json { summary, mode: plan.mode, batch: plan.batch, compile_ms: compile.as_secs_f64() * 1e3 };
    serde_json::to_string_pretty(&json).expect("a summary has only string keys")
}
