//! What a rule looks at.

use crate::ir::graph::{Graph, Node};
use crate::source::Span;
use crate::spec::ResolvedSpec;

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// What was written, defaults applied.
    pub spec: &'s ResolvedSpec,
    /// What it means, in the stage `Expanded`.
    pub graph: &'s Graph,
}

impl<'s> Subject<'s> {
    /// Whether the spec says how it is trained.
    pub(super) fn trains(&self) -> bool {
        self.spec.keys.get("train").is_some()
    }

    /// Where a value, or the nearest section around it, was written.
    pub(super) fn place(&self, path: &str) -> Span {
        self.spec.keys.nearest(path).unwrap_or(self.spec.name.span)
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &'s Node> + use<'s> {
        let graph = self.graph;
        graph.ids().map(|id| graph.node(id))
    }
}
