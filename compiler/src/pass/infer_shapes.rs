//! Gives every value a type, in order of execution, and finds operands that do not fit.
//!
//! A node behind a mistake gets no type and no mistake of its own, so each mistake is told once.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::patch::Patch;
use crate::ir::types::TensorType;
use crate::ops::{self, InferError};

/// Most bytes of one value: what no machine holds is refused before anything is planned for it.
const MAX_BYTES: usize = 1 << 40;

pub(super) fn run(graph: &Graph, _context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut types: Vec<Option<Vec<TensorType>>> = vec![None; graph.bound()];
    let mut mistakes = Vec::new();
    for id in graph.ids() {
        let operands = graph.operands(id);
        let known: Option<Vec<&TensorType>> = operands.iter().map(|&value| lookup(&types, value)).collect();
        let Some(known) = known else { continue };
        let inferred = ops::infer(&graph.node(id).op, graph.mode, &known).and_then(check_size);
        match inferred {
            Ok(inferred) => types[id.index()] = Some(inferred),
            Err(error) => mistakes.push(explain(graph, id, &operands, &known, error)),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut patch = Patch::new(graph);
    for id in graph.ids() {
        let inferred = types[id.index()].take().expect("without a mistake every node has types");
        patch.set_types(id, inferred);
    }
    Ok(patch)
}

fn check_size(types: Vec<TensorType>) -> Result<Vec<TensorType>, InferError> {
    match types.iter().find(|t| t.bytes().is_none_or(|bytes| bytes > MAX_BYTES)) {
        None => Ok(types),
        Some(huge) => Err(InferError {
            message: format!("a value of {} is too large", huge.shape),
            operand: None,
            help: Some(
                "use a smaller input, batch or number of filters: 1 TiB is the limit of one value".into(),
            ),
        }),
    }
}

fn lookup(types: &[Option<Vec<TensorType>>], value: Value) -> Option<&TensorType> {
    types[value.node.index()].as_ref()?.get(usize::from(value.port))
}

/// The mistake at the node, with the places that its operands come from.
fn explain(
    graph: &Graph,
    id: NodeId,
    operands: &[Value],
    types: &[&TensorType],
    error: InferError,
) -> Diagnostic {
    let node = graph.node(id);
    let mut diagnostic = Diagnostic::error(format!("`{}`: {}", node.name, error.message), node.span, "here");
    // A mismatch lies between two operands: show all feature maps that meet, the one at fault first.
    let mut shown: Vec<usize> = error.operand.into_iter().collect();
    shown.extend((0..operands.len()).filter(|&i| types[i].shape.rank() != 1 && Some(i) != error.operand));
    for i in shown {
        let source = graph.node(operands[i].node);
        if !source.span.is_none() && source.span != node.span {
            diagnostic = diagnostic.label(source.span, format!("`{}` is {}", source.name, types[i].shape));
        }
    }
    match error.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}
