//! What `build` tells: the table of units with totals, and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::recompute::{Depth, Recompute};
use resnetc_compiler::memory;
use resnetc_compiler::plan::{GRADIENT_SUM, Plan, Region};
use resnetc_compiler::report::{self, Compiled, UnitRow};
use serde::Serialize;

use super::resident::Beside;
use super::scaling::Scaling;
use super::table::{Align, Table};
use super::units::{bytes, counted, duration, grouped, shape, si};

/// What was compiled, and what is known of it.
pub struct Summary<'a> {
    /// The plan with its units and passes.
    pub compiled: &'a Compiled,
    /// The plan by which ranks that update on their own become one again.
    pub mean: Option<&'a Plan>,
    /// From the spec's text to the plan.
    pub compile: Duration,
    /// What a process takes besides the plan, where that was asked of a device.
    pub beside: Option<&'a Beside>,
}

impl Summary<'_> {
    /// The table of units, then one line for each total. In so many columns of a terminal, if it is one.
    pub fn text(&self, width: Option<usize>) -> String {
        let Compiled { summary, plan, recompute, .. } = self.compiled;
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
        if let Some(beside) = self.beside {
            line("resident", format!("expected here {}", beside.text(plan)));
        }
        if let Some(sent) = sent(self.mean.unwrap_or(plan)) {
            line("ranks", sent);
        }
        line("kernels", format!("{} before fusion, {} after", summary.kernels_before, summary.kernels));
        line("compiled in", duration(self.compile));
        text
    }

    /// One JSON object.
    pub fn json(&self, scaling: Option<&Scaling>) -> String {
        let Compiled { summary, plan, recompute, .. } = self.compiled;
        let json = Json {
            summary,
            mode: plan.mode,
            batch: plan.batch,
            memory_bytes: plan.bytes(),
            workspace_bytes: self.beside.map(|beside| beside.workspaces),
            expected_resident_bytes: self.beside.map(|beside| beside.expected(plan)),
            sent: plan.ranks.map(|ranks| Sent {
                ranks: ranks.count,
                bytes: self.mean.unwrap_or(plan).sent_bytes(),
                every: ranks.sync_every,
            }),
            again: recompute.iter().map(|(part, depth)| (part.to_string(), depth.to_string())).collect(),
            compile_ms: self.compile.as_secs_f64() * 1e3,
            scaling,
        };
        serde_json::to_string_pretty(&json).expect("a summary has only string keys")
    }
}

fn heading(summary: &report::Summary, plan: &Plan) -> String {
    let mode = match plan.mode {
        Mode::Infer => "inference",
        Mode::Train => "training",
    };
    let input = &plan.buffer(plan.input).shape.0;
    format!("{} for {mode}, input {}\n\n", summary.name, shape(input))
}

fn units(rows: &[UnitRow], summary: &report::Summary, width: Option<usize>) -> String {
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

/// `4: each sends 1.2 MiB of gradients in every update`; nothing where there is one rank.
fn sent(plan: &Plan) -> Option<String> {
    let ranks = plan.ranks?;
    let (when, what) = if ranks.is_local() {
        let state = plan.optimizer.iter().filter(|name| *name != GRADIENT_SUM).map(String::as_str);
        let names: Vec<&str> = ["parameters"].into_iter().chain(state).collect();
        (format!("behind every {} updates and at an epoch's end", ranks.sync_every), listed(&names))
    } else {
        let narrow = if ranks.wire.is_narrow() { format!(" in {}", ranks.wire) } else { String::new() };
        let params = if ranks.shard_optimizer { " and parameters" } else { "" };
        ("in every update".to_owned(), format!("gradients{narrow}{params}"))
    };
    Some(format!("{}: each sends {} of {what} {when}", ranks.count, bytes(plan.sent_bytes())))
}

/// `the light half of 12 parts and all of 4 parts computed again in the backward pass`
pub fn again(recompute: &Recompute) -> String {
    let counts = memory::counts(recompute);
    let parts = |count| counted(count, "part");
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

/// [`report::Summary`] and what only the command knows.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    summary: &'a report::Summary,
    mode: Mode,
    batch: usize,
    /// Of all regions of the plan.
    memory_bytes: usize,
    /// Of kernels' workspaces, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_bytes: Option<usize>,
    /// Of the process that trains: plan, workspaces, program.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_resident_bytes: Option<usize>,
    /// What a rank sends each time, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
    /// What the backward pass computes again: parts by name, `light` or `full`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    again: BTreeMap<String, String>,
    compile_ms: f64,
    /// How long a step takes on several ranks, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<&'a Scaling>,
}

/// What a rank sends to all others.
#[derive(Serialize)]
struct Sent {
    ranks: usize,
    bytes: usize,
    /// Updates from one time to the next.
    every: usize,
}
