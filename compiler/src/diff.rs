//! How two networks differ: in what they are, not in how they are written. Compared in the stage `Expanded`, where every
//! layer of the spec is a node and every shortcut is decided.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ir::graph::Node;
use crate::ir::op::{AvgPool, BatchNorm, BlurPool, Conv, Input, MaxPool, Norm, Op};
use crate::ir::origin as network;
use crate::report::{Network, UnitRow};

/// One aspect in which two networks differ, and everywhere where they differ in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `input`, `units`, `kind`, `layers`, `filters`, `stride`, `shortcut`, `output`, `parameters` or `MACs`.
    pub aspect: &'static str,
    /// `network`, or the names of stem, units and head in order.
    pub places: Vec<String>,
    /// What the first has.
    pub a: String,
    /// What the second has.
    pub b: String,
}

/// Where a network differs from another, the whole first, then stem, units and head.
pub fn diff(a: &Network, b: &Network) -> Vec<Difference> {
    let mut found = Differences::default();
    for ((aspect, a), (_, b)) in whole(a).into_iter().zip(whole(b)) {
        found.compare(aspect, "network", a, b);
    }
    let (rows_a, rows_b) = (&a.summary.units, &b.summary.units);
    for part in union(rows_a, rows_b) {
        let row = |rows: &[UnitRow]| rows.iter().find(|row| row.part == part).cloned();
        match (row(rows_a), row(rows_b)) {
            (Some(in_a), Some(in_b)) => found.parts(&Part::new(a, &in_a), &Part::new(b, &in_b)),
            (in_a, in_b) => {
                let kind = |row: Option<UnitRow>| row.map_or("none".to_owned(), |row| row.kind);
                found.compare("kind", &part.to_string(), kind(in_a), kind(in_b));
            }
        }
    }
    found.list
}

/// What is said of a network as a whole.
fn whole(network: &Network) -> Vec<(&'static str, String)> {
    let inputs = network.graph.ids().filter_map(|id| {
        let Op::Input(Input { shape }) = &network.graph.node(id).op else { return None };
        Some(dims(shape.0.get(1..).unwrap_or_default()))
    });
    let mut stages: BTreeMap<usize, usize> = BTreeMap::new();
    for row in &network.summary.units {
        if let network::Part::Unit { stage, .. } = row.part {
            *stages.entry(stage).or_default() += 1;
        }
    }
    let units: Vec<String> = stages.values().map(usize::to_string).collect();
    let summary = &network.summary;
    vec![
        ("input", inputs.collect()),
        ("units", units.join(", ")),
        ("output", dims(summary.output_shape.get(1..).unwrap_or_default())),
        ("parameters", summary.params.to_string()),
        ("MACs", summary.macs.to_string()),
    ]
}

/// All parts, each where it stands in one of the two: units that only the second has come behind those of their stage.
fn union(a: &[UnitRow], b: &[UnitRow]) -> Vec<network::Part> {
    let mut parts: Vec<network::Part> = a.iter().map(|row| row.part).collect();
    let mut at = 0;
    for row in b {
        match parts.iter().position(|&part| part == row.part) {
            Some(found) => at = found + 1,
            None => {
                let before =
                    |part: &&network::Part| part.stage().is_some_and(|s| Some(s) <= row.part.stage());
                at += parts[at..].iter().take_while(before).count();
                parts.insert(at, row.part);
                at += 1;
            }
        }
    }
    parts
}

/// Stem, a unit or the head.
struct Part {
    name: String,
    kind: String,
    layers: Vec<String>,
    filters: Vec<String>,
    strides: Vec<String>,
    shortcut: String,
    output: String,
}

impl Part {
    fn new(network: &Network, row: &UnitRow) -> Self {
        let mut part = Part {
            name: row.name.clone(),
            kind: row.kind.clone(),
            layers: Vec::new(),
            filters: Vec::new(),
            strides: Vec::new(),
            shortcut: row.shortcut.clone().unwrap_or_else(|| "none".into()),
            output: dims(&row.output_shape),
        };
        for id in network.graph.ids() {
            let node = network.graph.node(id);
            let local = node.part.local(&node.name);
            // What the shortcut became is told by the shortcut's own sentence.
            if node.part == row.part && !local.starts_with("shortcut") {
                part.take(local, node);
            }
        }
        part
    }

    fn take(&mut self, local: &str, node: &Node) {
        if matches!(node.op, Op::Param(_)) {
            return;
        }
        // Strides are an aspect of their own.
        let mut op = node.op.clone();
        let stride = stride(&mut op).map_or([1, 1], |stride| std::mem::replace(stride, [1, 1]));
        self.layers.push(text(&op));
        if let (Op::Conv(_) | Op::Linear(_), Some(ty)) = (&node.op, node.types.first()) {
            self.filters.push(ty.shape.0.get(1).map_or(String::new(), usize::to_string));
        }
        if stride != [1, 1] {
            let [h, w] = stride;
            let stride = if h == w { h.to_string() } else { format!("{h}x{w}") };
            self.strides.push(format!("{stride} in {local}"));
        }
    }
}

/// A layer of stride 1, without what is so everywhere.
fn text(op: &Op) -> String {
    if let Op::BatchNorm(BatchNorm { eps, momentum, .. }) = *op
        && (Norm::Batch { eps, momentum }) == Norm::DEFAULT
    {
        return "bn".to_owned();
    }
    op.to_string().split(' ').filter(|word| *word != "s1").collect::<Vec<_>>().join(" ")
}

/// The step of what skips pixels, to be read or changed.
fn stride(op: &mut Op) -> Option<&mut [usize; 2]> {
    if let Op::Conv(Conv { attrs, .. }) = op {
        return Some(&mut attrs.stride);
    }
    if let Op::MaxPool(MaxPool { attrs }) | Op::AvgPool(AvgPool { attrs }) = op {
        return Some(&mut attrs.stride);
    }
    if let Op::BlurPool(BlurPool { stride }) = op { Some(stride) } else { None }
}

#[derive(Default)]
struct Differences {
    list: Vec<Difference>,
}

impl Differences {
    fn parts(&mut self, a: &Part, b: &Part) {
        let place = &a.name;
        self.compare("kind", place, a.kind.clone(), b.kind.clone());
        if a.layers != b.layers {
            let (a, b) = middles(&a.layers, &b.layers);
            self.compare("layers", place, list(a, " -> "), list(b, " -> "));
        }
        self.compare("filters", place, list(&a.filters, ", "), list(&b.filters, ", "));
        self.compare("stride", place, list(&a.strides, ", "), list(&b.strides, ", "));
        self.compare("shortcut", place, a.shortcut.clone(), b.shortcut.clone());
        self.compare("output", place, a.output.clone(), b.output.clone());
    }

    /// Notes a difference; where the same was found elsewhere, the place joins it.
    fn compare(&mut self, aspect: &'static str, place: &str, a: String, b: String) {
        if a == b {
            return;
        }
        let same = |d: &&mut Difference| d.aspect == aspect && d.a == a && d.b == b;
        match self.list.iter_mut().find(same) {
            Some(difference) => difference.places.push(place.to_owned()),
            None => self.list.push(Difference { aspect, places: vec![place.to_owned()], a, b }),
        }
    }
}

/// Two lists without what they begin and end with in common.
fn middles<'l>(a: &'l [String], b: &'l [String]) -> (&'l [String], &'l [String]) {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (&a[..a.len() - end], &b[..b.len() - end])
}

fn list(items: &[String], between: &str) -> String {
    if items.is_empty() { "none".into() } else { items.join(between) }
}

fn dims(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}
