//! The one text form of a graph: deterministic, free of ids, a line per node in an order of execution.
//!
//! ```text
//! stem.conv1 = conv 7x7 s2 p3 (input, stem.conv1.weight) : f32 1x64x112x112 nhwc
//! ```
//!
//! A node's first result is written as the node's name, further ones as `name:1`. What passes did to the node follows
//! as `; sentence`.

use std::collections::HashMap;
use std::fmt;

use super::graph::{Graph, NodeId, Value};
use super::op::Op;

/// The whole graph, ending in a line break.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {} ({}, {})", self.name, self.mode, self.stage)?;
        for id in self.ids() {
            self.fmt_node(f, id)?;
        }
        for (name, value) in &self.outputs {
            writeln!(f, "output {name} = {}", self.value_name(*value))?;
        }
        Ok(())
    }
}

impl Graph {
    /// What the network computes, without the names of its nodes and the first values of its parameters: networks with equal
    /// signatures give the same results with the same weights. Parameters keep their names, for weights belong to them.
    pub fn signature(&self) -> String {
        let numbers: HashMap<NodeId, usize> =
            self.ids().enumerate().map(|(number, id)| (id, number)).collect();
        let value = |value: Value| format!("{}:{}", numbers[&value.node], value.port);
        let mut text = String::new();
        for id in self.ids() {
            let node = self.node(id);
            match &node.op {
                Op::Param(param) => text += &format!("{} {}", node.name, param.role),
                op => text += &op.to_string(),
            }
            let operands: Vec<String> = self.operands(id).into_iter().map(value).collect();
            let types: Vec<String> = node.types.iter().map(ToString::to_string).collect();
            text += &format!(" ({}) {}\n", operands.join(" "), types.join(" "));
        }
        let outputs = self.outputs.iter().map(|(name, of)| format!("{name} {}\n", value(*of)));
        text + &outputs.collect::<String>()
    }

    /// How a value is written: its node's name, with `:port` for further results.
    pub fn value_name(&self, value: Value) -> String {
        let name = &self.node(value.node).name;
        if value.port == 0 { name.clone() } else { format!("{name}:{}", value.port) }
    }

    fn fmt_node(&self, f: &mut fmt::Formatter<'_>, id: NodeId) -> fmt::Result {
        let node = self.node(id);
        write!(f, "{} = {}", node.name, node.op)?;
        let operands = self.operands(id);
        if !operands.is_empty() {
            let names: Vec<String> = operands.iter().map(|&v| self.value_name(v)).collect();
            write!(f, " ({})", names.join(", "))?;
        }
        for (i, ty) in node.types.iter().enumerate() {
            write!(f, "{}{ty}", if i == 0 { " : " } else { ", " })?;
        }
        for sentence in &node.history {
            write!(f, " ; {sentence}")?;
        }
        writeln!(f)
    }
}
