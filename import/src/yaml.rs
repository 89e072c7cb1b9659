//! The spec as a person would write it.

use std::fmt::Write;

use crate::recover::Recovered;
use crate::stages::{Group, Stage};

/// Longest line of a unit.
const COLUMNS: usize = 110;

/// Figures that the spec then expects of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) params: u64,
    pub(crate) macs: u64,
}

/// Writes the spec.
pub(crate) fn write(name: &str, origin: &str, network: &Recovered, figures: Option<Figures>) -> String {
    let [c, h, w] = network.input;
    let usual = usual_call(&network.stages);
    let mut text = format!("# Imported from {origin}.\nname: {name}\ninput: [{c}, {h}, {w}]\n");
    let mut key = |name: &str, value: &str| writeln!(text, "{name}: {value}").expect("writing to a string");
    key("classes", &network.classes.to_string());
    key("stem", if network.stem.is_empty() { "[]" } else { &network.stem });
    key("unit", &usual);
    if network.eps != 1e-5 {
        key("norm", &format!("bn(eps={:e})", network.eps));
    }
    if let Some(shortcut) = &network.shortcut {
        key("shortcut", shortcut);
    }
    text += "stages:\n";
    network.stages.iter().for_each(|stage| text += &stage_text(stage, &usual));
    if let Some(transition) = &network.transition {
        writeln!(text, "transition: {transition}").expect("writing to a string");
    }
    writeln!(text, "head: {}", network.head).expect("writing to a string");
    text += &units(network);
    if let Some(Figures { params, macs }) = figures {
        let (params, macs) = (grouped(params), grouped(macs));
        writeln!(text, "expect: {{params: {params}, macs: {macs}, output: [classes]}}")
            .expect("writing to a string");
    }
    text
}

/// The call of the most units.
fn usual_call(stages: &[Stage]) -> String {
    let groups = || stages.iter().flatten();
    let count = |call: &str| -> usize {
        groups().filter(|group| group.call == call).map(|group| group.filters.len()).sum()
    };
    // Of equally many, the first: `max_by_key` takes the last.
    let mut calls: Vec<&String> = groups().map(|group| &group.call).collect();
    calls.reverse();
    calls.into_iter().max_by_key(|call| count(call)).cloned().unwrap_or_default()
}

fn stage_text(stage: &Stage, usual: &str) -> String {
    let mut text = String::new();
    for (index, group) in stage.iter().enumerate() {
        let dashes = match (stage.len(), index) {
            (1, _) => "  -",
            (_, 0) => "  - -",
            _ => "    -",
        };
        writeln!(text, "{dashes} {}", group_text(group, usual)).expect("writing to a string");
    }
    text
}

fn group_text(group: &Group, usual: &str) -> String {
    let mut parts = vec![format!("depth: {}", group.filters.len())];
    let first = group.filters[0];
    if !group.reads_filters {
    } else if group.filters.iter().all(|&filters| filters == first) {
        parts.push(format!("filters: {first}"));
    } else {
        let list: Vec<String> = group.filters.iter().map(usize::to_string).collect();
        parts[0] = format!("filters: [{}]", list.join(", "));
    }
    if group.stride != 1 {
        parts.push(format!("stride: {}", group.stride));
    }
    if group.dilation != 1 {
        parts.push(format!("dilation: {}", group.dilation));
    }
    if group.call != usual {
        let quotes = if group.call.contains(',') { "\"" } else { "" };
        parts.push(format!("unit: {quotes}{}{quotes}", group.call));
    }
    format!("{{{}}}", parts.join(", "))
}

fn units(network: &Recovered) -> String {
    let own: Vec<_> = network.kinds.iter().filter_map(|kind| kind.own.as_ref()).collect();
    let mut text = if own.is_empty() { String::new() } else { "units:\n".to_owned() };
    for (signature, lines) in own {
        writeln!(text, "  {signature}: |").expect("writing to a string");
        let widest = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            let line = format!("    {name:widest$} = {value}");
            writeln!(text, "{}", wrapped(&line, widest + 7)).expect("writing to a string");
        }
    }
    text
}

/// A line, broken in front of arrows where it is too long.
fn wrapped(line: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for (index, part) in line.split(" -> ").enumerate() {
        let last = lines.last_mut().expect("one from the start");
        if index == 0 {
            last.push_str(part);
        } else if last.len() + part.len() + 4 <= COLUMNS {
            write!(last, " -> {part}").expect("writing to a string");
        } else {
            lines.push(format!("{}-> {part}", " ".repeat(indent + 2)));
        }
    }
    lines.join("\n")
}

/// `25_557_032`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
