//! What `build` tells: the table of units with totals, and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::recompute::{Depth, Recompute};
use resnetc_compiler::memory;
use resnetc_compiler::plan::{Plan, Region};
use resnetc_compiler::report::{Compiled, Summary, UnitRow};
use serde::Serialize;

use super::scaling::Scaling;
use super::table::{Align, Table};
use super::units::{bytes, duration, grouped, shape, si};

/// The table of units, then one line for each total. In so many columns of a terminal, if it is one.
pub fn text(compiled: &Compiled, compile: Duration, width: Option<usize>) -> String {
    let Compiled { summary, plan, recompute, .. } = compiled;
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
    if !recompute.is_empty() {
        line("", again(recompute));
    }
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
        Mode::Train => training(plan),
    };
    let (all, arena, params) = (bytes(plan.bytes()), bytes(sizes.arena), bytes(sizes.params));
    format!("{all}: {arena} arena peak, {params} parameters{training}")
}

/// ` (and as much for each of gradients and velocity)`; tensors of which each rank has a part are told by themselves.
fn training(plan: &Plan) -> String {
    let tensors = plan.optimizer.iter().map(String::as_str).zip(0..);
    let (parts, whole): (Vec<_>, Vec<_>) = tensors.partition(|&(_, tensor)| plan.is_sharded(tensor));
    let [(parts, first), (whole, _)] = [parts, whole]
        .map(|tensors: Vec<(&str, u8)>| -> (Vec<&str>, Vec<u8>) { tensors.into_iter().unzip() });
    let text = format!(" (and as much for each of {})", listed(&[&["gradients"][..], &whole].concat()));
    let (Some(&first), Some(ranks)) = (first.first(), plan.ranks) else { return text };
    let part = bytes(plan.region_bytes(Region::Optimizer(first)));
    format!("{text}, {part} for each of {}, cut over {} ranks", listed(&parts), ranks.count)
}

/// `the light half of 12 parts and all of 4 parts computed again in the backward pass`
pub fn again(recompute: &Recompute) -> String {
    let counts = memory::counts(recompute);
    let parts = |count: usize| format!("{count} part{}", if count == 1 { "" } else { "s" });
    let said = counts.into_iter().map(|(depth, count)| match depth {
        Depth::Light => format!("the light half of {}", parts(count)),
        Depth::Full => format!("all of {}", parts(count)),
    });
    format!("{} computed again in the backward pass", said.collect::<Vec<_>>().join(" and "))
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
    /// Of all regions of the plan.
    memory_bytes: usize,
    /// What the backward pass computes again: parts by name, `light` or `full`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    again: BTreeMap<String, String>,
    compile_ms: f64,
    /// How long a step takes on several ranks, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<&'a Scaling>,
}

/// One JSON object.
pub fn json(compiled: &Compiled, compile: Duration, scaling: Option<&Scaling>) -> String {
    let Compiled { summary, plan, recompute, .. } = compiled;
    let json = Json {
        summary,
        mode: plan.mode,
        batch: plan.batch,
        memory_bytes: plan.bytes(),
        again: recompute.iter().map(|(part, depth)| (part.to_string(), depth.to_string())).collect(),
        compile_ms: compile.as_secs_f64() * 1e3,
        scaling,
    };
    serde_json::to_string_pretty(&json).expect("a summary has only string keys")
}
