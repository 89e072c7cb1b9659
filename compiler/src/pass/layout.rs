//! Sets the order in memory: feature maps with channels innermost, weights with output channels innermost, so that
//! every kernel's inner loop runs over channels that lie side by side.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Graph;
use crate::ir::patch::Patch;
use crate::ir::types::Layout;
use crate::ops::set_layouts;

pub(super) fn run(graph: &Graph, context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let mut types = node.types.clone();
        set_layouts(&node.op, &mut types, &context.backend.layouts);
        for ty in types.iter().filter(|ty| ty.layout != Layout::Plain) {
            patch.fired_silently(node, ty.to_string());
        }
        patch.set_types(id, types);
    }
    Ok(patch)
}
