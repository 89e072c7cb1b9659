//! The plan as text: what memory there is, the steps in order, and where each buffer lies. Deterministic.

use std::fmt::{self, Write as _};

use super::reductions::Reduction;
use super::{Buffer, BufferId, Plan, Region, Step};

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Region::Arena => "arena",
            Region::Params => "params",
            Region::Grads => "grads",
            Region::Optimizer(index) => return f.pad(&format!("optimizer{index}")),
            Region::State => "state",
            Region::Control => "control",
        })
    }
}

/// The text of `--emit plan`: a head, a table of steps, a map of memory.
///
/// ```text
/// plan tiny, infer, batch 1: 3 steps
/// memory: arena 1024, params 512, state 0 bytes
///
/// step  name      kernel  geometry                    operands
///    0  conv1     conv    3x3 p1 3x8x8 -> 4x8x8       input, conv1.weight -> conv1
/// ```
///
/// `-> out (on x)` says that `out` lies in place of the operand `x`.
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    let mode = format!("{:?}", plan.mode).to_lowercase();
    let tf32 = if plan.tf32 { ", tf32" } else { "" };
    let free = if plan.deterministic { "" } else { ", nondeterministic" };
    let ranks = plan.ranks.map_or(String::new(), |ranks| format!(", {ranks}"));
    let Plan { name, batch, steps, .. } = plan;
    let _ = writeln!(text, "plan {name}, {mode}, batch {batch}{ranks}{tf32}{free}: {} steps", steps.len());
    text += "memory:";
    let memory: Vec<String> =
        plan.memory().iter().map(|(region, bytes)| format!(" {region} {bytes}")).collect();
    text += &memory.join(",");
    text += " bytes\n\n";
    text += &table(&["step", "name", "kernel", "geometry", "operands"], &step_rows(plan));
    text += "\n";
    let sums = reductions(plan);
    if !sums.is_empty() {
        text += &table(&["bucket", "bytes", "begins", "awaited", "beside"], &sums);
        text += "\n";
    }
    text += &table(&["region", "offset", "bytes", "live", "type", "buffer"], &buffer_rows(plan));
    text
}

impl Plan {
    /// Its regions by name, with their bytes.
    pub fn memory(&self) -> Vec<(String, usize)> {
        regions(self).map(|region| (region_name(self, region), self.region_bytes(region))).collect()
    }
}

/// The regions of a plan: those of training stand in plans for inference, too, with nothing in them.
fn regions(plan: &Plan) -> impl Iterator<Item = Region> {
    let state = (0..plan.optimizer.len()).map(|index| Region::Optimizer(index as u8));
    let control = (plan.sizes.control > 0).then_some(Region::Control);
    let fixed = [Region::Arena, Region::Params, Region::Grads];
    fixed.into_iter().chain(state).chain([Region::State]).chain(control)
}

/// A region of the optimizer is called after the tensor that it holds.
fn region_name(plan: &Plan, region: Region) -> String {
    match region {
        Region::Optimizer(index) => plan.optimizer.get(usize::from(index)).cloned(),
        Region::Arena | Region::Params | Region::Grads | Region::State | Region::Control => None,
    }
    .unwrap_or_else(|| region.to_string())
}

fn step_rows(plan: &Plan) -> Vec<Vec<String>> {
    let row = |(index, step): (usize, &Step)| {
        vec![
            format!("{index:>4}"),
            step.name.clone(),
            step.kernel.name().to_owned(),
            step.kernel.geometry(),
            operands(plan, index, step),
        ]
    };
    plan.steps.iter().enumerate().map(row).collect()
}

/// The sums over ranks: from where to where they may take, and how much is computed meanwhile.
fn reductions(plan: &Plan) -> Vec<Vec<String>> {
    let row = |sum: Reduction| {
        let behind =
            plan.steps[..sum.begins].last().map_or(String::new(), |step| format!(" behind {}", step.name));
        vec![
            format!("{:>6}", sum.bucket),
            format!("{:>10}", sum.bytes),
            format!("{:>4}{behind}", sum.begins),
            format!("{:>4}", sum.awaited),
            format!("{} steps, {:.1} % of the FLOPs", sum.steps, 100.0 * sum.flops),
        ]
    };
    plan.reductions().into_iter().map(row).collect()
}

/// `x, weight -> y (on x)`
fn operands(plan: &Plan, index: usize, step: &Step) -> String {
    let name = |id: &BufferId| plan.buffer(*id).name.clone();
    let inputs: Vec<String> = step.inputs.iter().map(name).collect();
    let outputs = step.outputs.iter().map(|id| match plan.overwritten(index, *id) {
        Some(input) => format!("{} (on {})", name(id), input.name),
        None => name(id),
    });
    let outputs: Vec<String> = outputs.collect();
    match outputs.is_empty() {
        true => inputs.join(", "),
        false => format!("{} -> {}", inputs.join(", "), outputs.join(", ")),
    }
}

fn buffer_rows(plan: &Plan) -> Vec<Vec<String>> {
    let mut buffers: Vec<&Buffer> = plan.buffers.iter().collect();
    buffers.sort_by_key(|buffer| (buffer.region, buffer.offset, buffer.live));
    let row = |buffer: &Buffer| {
        let layout = format!("{:?}", buffer.layout).to_lowercase();
        vec![
            region_name(plan, buffer.region),
            format!("{:>10}", buffer.offset),
            format!("{:>10}", buffer.bytes),
            buffer.live.map_or(String::new(), |(first, last)| format!("{first}..={last}")),
            format!("{} {} {layout}", buffer.dtype, buffer.shape),
            match plan.slice_text(buffer).or_else(|| part_text(buffer)) {
                Some(text) => format!("{} ({text})", buffer.name),
                None => buffer.name.clone(),
            },
        ]
    };
    buffers.into_iter().map(row).collect()
}

/// `a rank's part of 4096 bytes`, of a buffer that each rank has in another place.
fn part_text(buffer: &Buffer) -> Option<String> {
    buffer.span.map(|span| format!("a rank's part of {span} bytes"))
}

/// Columns as wide as their widest cell, two spaces between them, no trailing space.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text += "\n";
    }
    text
}
