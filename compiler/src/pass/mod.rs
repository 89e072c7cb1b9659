//! The passes: what they are, in which order they run, and the runner.
//!
//! A pass reads a graph and returns a [`Patch`]; it sees the IR and the operators, never another pass. The runner
//! applies the patch, fills in types of new nodes, and verifies the graph after every pass.

mod accumulate_conv;
mod context;
mod dead_code;
mod differentiate;
mod expand_shortcuts;
mod fold_bn;
mod fuse_add;
mod fuse_bn;
mod fuse_conv;
mod id;
mod infer_shapes;
mod layout;
pub(crate) mod recompute;
mod remove_drop;
pub mod report;
pub mod verify;

#[cfg(test)]
mod tests;

pub use context::PassContext;
pub use id::PassId;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode, NodeId, Stage, Value};
use crate::ir::patch::Patch;
use crate::ir::types::TensorType;
use crate::ops;
use report::{Dump, PassReport};

/// One step from one graph to the next.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Which one it is.
    pub id: PassId,
    /// Stage of the graph after it.
    pub stage: Stage,
    /// Reads the graph, says what to change. Only mistakes of the spec are errors.
    pub run: fn(&Graph, &PassContext) -> Result<Patch, Vec<Diagnostic>>,
}

/// The passes that make a graph complete: every node typed, every shortcut decided, nothing unused. What the network
/// is (its parameters, its multiply-accumulates) is counted after these.
pub fn front() -> Vec<Pass> {
    use Stage::{Expanded, Typed};
    vec![
        // Everything later asks for shapes; mismatches are found here, with both ends in the spec.
        Pass::new(PassId::InferShapes, Typed, infer_shapes::run),
        // Needs shapes: whether they change decides what a shortcut becomes.
        Pass::new(PassId::ExpandShortcuts, Expanded, expand_shortcuts::run),
        // What one unit binds and only others read, and stages behind the last output.
        Pass::new(PassId::DeadCode, Expanded, dead_code::run),
    ]
}

/// The passes behind [`front`]: towards kernels.
pub fn back(mode: Mode) -> Vec<Pass> {
    use Stage::{Differentiated, Expanded, Fused, LaidOut};
    match mode {
        Mode::Infer => vec![
            // Before all others: what stands around a random operator can then meet.
            Pass::new(PassId::RemoveDrop, Expanded, remove_drop::run),
            // First: a convolution that has taken a normalisation in has a bias, and is free to take in more.
            Pass::new(PassId::FoldBn, Fused, fold_bn::run),
            Pass::new(PassId::FuseConv, Fused, fuse_conv::run),
            // What no convolution took in.
            Pass::new(PassId::FuseAdd, Fused, fuse_add::run),
            // The normalisations' old parameters.
            Pass::new(PassId::DeadCode, Fused, dead_code::run),
            Pass::new(PassId::Layout, LaidOut, layout::run),
        ],
        Mode::Train => vec![
            // Before differentiation: the fused operator has a gradient rule of its own, with fewer passes over memory.
            Pass::new(PassId::FuseBn, Fused, fuse_bn::run),
            // The sums that no normalisation took in.
            Pass::new(PassId::FuseMul, Fused, fuse_conv::run),
            Pass::new(PassId::FuseAdd, Fused, fuse_add::run),
            Pass::new(PassId::Differentiate, Differentiated, differentiate::run),
            // Sums of gradients exist only now.
            Pass::new(PassId::AccumulateConv, Differentiated, accumulate_conv::run),
            Pass::new(PassId::DeadCode, Differentiated, dead_code::run),
            // The graph is the one that is run: what letting maps go saves can be said.
            Pass::new(PassId::Recompute, Differentiated, recompute::run),
            // Last: nothing before depends on the order in memory.
            Pass::new(PassId::Layout, LaidOut, layout::run),
        ],
    }
}

/// How many of the passes stand before the one that decides what is computed again: the graph that it decides on is the one that is
/// run. All of them, where there is none.
pub fn before_recomputation(passes: &[Pass]) -> usize {
    passes.iter().position(|pass| pass.id == PassId::Recompute).unwrap_or(passes.len())
}

/// The passes behind [`front`] towards a network that other programs read: those of [`back`] that leave standard operators.
pub fn portable(fold: bool) -> Vec<Pass> {
    use Stage::{Expanded, Fused};
    let mut passes = vec![Pass::new(PassId::RemoveDrop, Expanded, remove_drop::run)];
    if fold {
        passes.push(Pass::new(PassId::FoldBn, Fused, fold_bn::run));
        passes.push(Pass::new(PassId::DeadCode, Fused, dead_code::run));
    }
    passes
}

impl Pass {
    const fn new(
        id: PassId,
        stage: Stage,
        run: fn(&Graph, &PassContext) -> Result<Patch, Vec<Diagnostic>>,
    ) -> Self {
        Pass { id, stage, run }
    }
}

pub use differentiate::parameters;

/// Runs all passes on a graph in the stage `Built`.
///
/// # Errors
/// All mistakes of the spec that the first pass that finds any finds.
///
/// # Panics
/// Where a pass breaks an invariant: the message names the pass and all faults.
pub fn run(graph: Graph, context: &PassContext) -> Result<(Graph, Vec<PassReport>), Vec<Diagnostic>> {
    let back = back(graph.mode);
    let (graph, mut reports) = run_list(graph, &front(), context)?;
    let (graph, more) = run_list(graph, &back, context)?;
    reports.extend(more);
    Ok((graph, reports))
}

/// Runs some passes, in order; see [`run`].
///
/// # Errors
/// See [`run`].
///
/// # Panics
/// See [`run`].
pub fn run_list(
    mut graph: Graph,
    passes: &[Pass],
    context: &PassContext,
) -> Result<(Graph, Vec<PassReport>), Vec<Diagnostic>> {
    expect_sound(&graph, context, "the builder");
    let mut reports = Vec::with_capacity(passes.len());
    for pass in passes {
        let mut patch = (pass.run)(&graph, context)?;
        let (fired, notes) = (patch.count(), patch.take_notes());
        graph = patch.apply(graph);
        graph.stage = pass.stage;
        fill_types(&mut graph);
        expect_sound(&graph, context, pass.id.name());
        let dump = match &context.dump {
            Dump::Never => false,
            Dump::All => true,
            Dump::After(id) => *id == pass.id,
        };
        reports.push(PassReport {
            pass: pass.id,
            stage: pass.stage,
            fired,
            notes,
            nodes: graph.len(),
            dump: dump.then(|| graph.to_string()),
        });
    }
    Ok((graph, reports))
}

/// Types of the nodes that a pass added or replaced. Where operands do not fit, the verifier says so.
fn fill_types(graph: &mut Graph) {
    let untyped: Vec<NodeId> = graph.ids().filter(|&id| graph.node(id).types.is_empty()).collect();
    for id in untyped {
        if let Some(Ok(types)) = infer_node(graph, id) {
            graph.node_mut(id).types = types;
        }
    }
}

/// Types of a node's results; `None` where an operand has none.
fn infer_node(graph: &Graph, id: NodeId) -> Option<Result<Vec<TensorType>, ops::InferError>> {
    let operands: Vec<Value> = graph.operands(id);
    let operands: Option<Vec<&TensorType>> = operands.iter().map(|&value| graph.value_type(value)).collect();
    Some(ops::infer(&graph.node(id).op, graph.mode, &operands?))
}

fn expect_sound(graph: &Graph, context: &PassContext, after: &str) {
    let faults = verify::verify(graph, &context.backend.layouts);
    if faults.is_empty() {
        return;
    }
    let list: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
    panic!("`{after}` left a broken graph:\n{}", list.join("\n"));
}
