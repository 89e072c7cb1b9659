//! The invariants of a graph, checked after every pass, all faults at once, in linear time.
//!
//! 1. **Names** are not empty and unique.
//! 2. **Order**: every operand was inserted before its user; so there is no cycle, and insertion order can be executed.
//! 3. **Operands**: a node has as many as its operator takes, numbered without gaps, each an existing result.
//! 4. **Legal operators**: each is legal in its mode and stage ([`crate::ops::Operator::legal`]). `Shortcut` only before `Expanded`;
//!    backward operators and updates only from `Differentiated` on and in training; labels and loss only in training;
//!    `Affine` only in inference from `Fused` on, where neither a `BatchNorm` nor a `Drop` is left.
//! 5. **Epilogues** only from `Fused` on: of convolutions and affine maps in inference, of batch normalisations (with an
//!    activation whose gradient's mask follows from the result: relu, leaky relu) in training, of sums in both
//!    (in training with an activation whose gradient follows from its result), of products and group normalisations in
//!    both (in training with one whose mask does).
//! 6. **Recipes** other than `Own` only from `Fused` on and in inference.
//! 7. **Parameters**: weights, biases, scales, shifts and running statistics are `Param` nodes of the fitting role; an
//!    update's target is a trained `Param`, and each has one update at most.
//! 8. **Types**: none in `Built`; from `Typed` on exactly what [`ops::infer`] says (so a batch normalisation has one
//!    result in inference and three in training), in `Layout::Plain` before `LaidOut` and in [`ops::layout`]'s there.
//! 9. **Outputs**: at least one; each of an own name and an existing result. In training `loss` is among them.
//! 10. **Sources**: one `Input`, at most one each of `Labels`, `Partners` and `Teacher`.

use std::collections::HashSet;
use std::fmt;

use crate::backend::Layouts;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Graph, Mode, NodeId, Stage, Value};
use crate::ir::op::Op;
use crate::ir::types::TensorType;
use crate::ops::{self, operator};

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the node, or of the graph.
    pub node: String,
    /// What is wrong, one sentence.
    pub sentence: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.sentence)
    }
}

/// All faults of a graph, in its order; empty for a sound one.
pub fn verify(graph: &Graph, layouts: &Layouts) -> Vec<Fault> {
    let mut check = Check { graph, layouts, faults: Vec::new(), updated: HashSet::new() };
    check.names();
    for id in graph.ids() {
        check.node(id);
    }
    check.outputs();
    check.sources();
    check.faults
}

struct Check<'a> {
    graph: &'a Graph,
    /// Orders in memory from `LaidOut` on.
    layouts: &'a Layouts,
    faults: Vec<Fault>,
    /// Parameters that have an update.
    updated: HashSet<NodeId>,
}

impl Check<'_> {
    fn fault(&mut self, node: &str, sentence: impl Into<String>) {
        self.faults.push(Fault { node: node.to_owned(), sentence: sentence.into() });
    }

    /// Invariant 1.
    fn names(&mut self) {
        let mut seen = HashSet::with_capacity(self.graph.len());
        for id in self.graph.ids() {
            let name = &self.graph.node(id).name;
            if name.is_empty() {
                self.fault(name, "a node has no name");
            } else if !seen.insert(name.as_str()) {
                self.fault(name, "the name is used twice");
            }
        }
    }

    fn node(&mut self, id: NodeId) {
        self.stage(id);
        self.attributes(id);
        let operands = self.graph.operands(id);
        if self.operands(id, &operands) {
            self.params(id, &operands);
            self.types(id, &operands);
        }
    }

    /// Invariants 2 and 3; whether the operands can be looked at further.
    fn operands(&mut self, id: NodeId, operands: &[Value]) -> bool {
        let node = self.graph.node(id);
        let mut sound = true;
        for value in operands {
            let source = self.graph.node(value.node);
            if value.node >= id {
                self.fault(&node.name, format!("its operand `{}` comes after it", source.name));
                sound = false;
            }
            if self.graph.stage > Stage::Built && self.graph.value_type(*value).is_none() {
                let sentence = format!("its operand `{}` has no result {}", source.name, value.port);
                self.fault(&node.name, sentence);
                sound = false;
            }
        }
        let wanted = operator(&node.op).arity();
        if operands.len() != wanted {
            let sentence = format!("`{}` takes {wanted} operands, has {}", node.op, operands.len());
            self.fault(&node.name, sentence);
            sound = false;
        }
        let mut numbers: Vec<u8> = self
            .graph
            .petgraph()
            .edges_directed(id, petgraph::Direction::Incoming)
            .map(|edge| edge.weight().operand)
            .collect();
        numbers.sort_unstable();
        if numbers.iter().enumerate().any(|(i, &number)| i != usize::from(number)) {
            self.fault(&node.name, "its operands are not numbered without gaps");
            sound = false;
        }
        sound
    }

    /// Invariant 4.
    fn stage(&mut self, id: NodeId) {
        let (node, mode, stage) = (self.graph.node(id), self.graph.mode, self.graph.stage);
        match operator(&node.op).legal(mode) {
            None => self.fault(&node.name, format!("`{}` is not legal in mode {mode}", node.op)),
            Some((first, last)) if stage < first || stage > last => {
                let sentence = format!("`{}` is legal from stage {first} to {last}, not in {stage}", node.op);
                self.fault(&node.name, sentence);
            }
            Some(_) => {}
        }
    }

    /// Invariants 5 and 6.
    fn attributes(&mut self, id: NodeId) {
        let (node, mode, stage) = (self.graph.node(id), self.graph.mode, self.graph.stage);
        let operator = operator(&node.op);
        if operator.epilogue() != Epilogue::default() && stage < Stage::Fused {
            self.fault(&node.name, "an epilogue is legal from stage fused on");
        }
        if let Some(fault) = operator.fault(mode, stage) {
            self.fault(&node.name, fault);
        }
    }

    /// Invariant 7.
    fn params(&mut self, id: NodeId, operands: &[Value]) {
        let node = self.graph.node(id);
        for (i, wanted) in operator(&node.op).params() {
            let source = self.graph.node(operands[i].node);
            if !matches!(&source.op, Op::Param(param) if param.role == wanted) {
                let sentence = format!("its operand `{}` is no parameter of role {wanted}", source.name);
                self.fault(&node.name, sentence);
            }
        }
        if let Op::Update(_) = node.op {
            let target = operands[0].node;
            let source = self.graph.node(target);
            if !matches!(&source.op, Op::Param(param) if param.role.trained()) {
                self.fault(&node.name, format!("`{}` is no trained parameter", source.name));
            }
            if !self.updated.insert(target) {
                self.fault(&node.name, format!("`{}` is updated twice", source.name));
            }
        }
    }

    /// Invariant 8.
    fn types(&mut self, id: NodeId, operands: &[Value]) {
        let node = self.graph.node(id);
        if self.graph.stage == Stage::Built {
            if !node.types.is_empty() {
                self.fault(&node.name, "it has types before they are inferred");
            }
            return;
        }
        let operands: Option<Vec<&TensorType>> = operands.iter().map(|&v| self.graph.value_type(v)).collect();
        let Some(operands) = operands else { return };
        match ops::infer(&node.op, self.graph.mode, &operands) {
            Err(error) => self.fault(&node.name, format!("its operands do not fit: {}", error.message)),
            Ok(mut expected) => {
                if self.graph.stage == Stage::LaidOut {
                    ops::set_layouts(&node.op, &mut expected, self.layouts);
                }
                if expected != node.types {
                    let sentence = format!("has types [{}], needs [{}]", list(&node.types), list(&expected));
                    self.fault(&node.name, sentence);
                }
            }
        }
    }

    /// Invariant 9.
    fn outputs(&mut self) {
        let graph = self.graph;
        if graph.outputs.is_empty() {
            self.fault(&graph.name, "the graph has no output");
        }
        let mut seen = HashSet::new();
        for (name, value) in &graph.outputs {
            if !seen.insert(name) {
                self.fault(&graph.name, format!("the output `{name}` is there twice"));
            }
            let exists = graph.petgraph().contains_node(value.node);
            if !exists || (graph.stage > Stage::Built && graph.value_type(*value).is_none()) {
                self.fault(&graph.name, format!("the output `{name}` is no result of a node"));
            }
        }
        if graph.mode == Mode::Train && graph.output("loss").is_none() {
            self.fault(&graph.name, "a training graph has no output `loss`");
        }
    }

    /// Invariant 10.
    fn sources(&mut self) {
        let graph = self.graph;
        let count = |wanted: fn(&Op) -> bool| graph.ids().filter(|&id| wanted(&graph.node(id).op)).count();
        let inputs = count(|op| matches!(op, Op::Input(_)));
        if inputs != 1 {
            self.fault(&graph.name, format!("the graph has {inputs} inputs"));
        }
        let labels = count(|op| matches!(op, Op::Labels(_)));
        let partners = count(|op| matches!(op, Op::Partners(_)));
        let teacher = count(|op| matches!(op, Op::Teacher(_)));
        for (what, times) in [("labels", labels), ("partners", partners), ("a teacher", teacher)] {
            if times > 1 {
                self.fault(&graph.name, format!("the graph has {what} {times} times"));
            }
        }
    }
}

fn list(types: &[TensorType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
