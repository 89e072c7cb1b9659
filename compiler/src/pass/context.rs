//! What passes are told.

use super::report::Dump;
use crate::backend::Backend;
use crate::ir::groups::Groups;
use crate::ir::op::UpdateRule;
use crate::ir::recompute::Recompute;
use crate::source::Span;

/// What passes need besides the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct PassContext {
    /// What updates do; in inference nobody looks at it.
    pub optimizer: UpdateRule,
    /// Where the optimizer is written.
    pub optimizer_at: Span,
    /// The learning rate before the schedule: of another one, a plan holds what share of this it is.
    pub lr: f32,
    /// Whether weight decay applies to normalisation's parameters and biases too.
    pub decay_norm: bool,
    /// Which parameters are trained otherwise, or not at all.
    pub groups: Groups,
    /// Which parts the backward pass computes again.
    pub recompute: Recompute,
    /// What the graph is to run on: which fusions there are, which orders in memory.
    pub backend: Backend,
    /// After which passes to keep the graph's text.
    pub dump: Dump,
}

impl PassContext {
    /// For an optimizer at a rate, on a device: without groups and dumps, and all parameters decay.
    pub fn new(optimizer: UpdateRule, lr: f32, backend: Backend) -> Self {
        PassContext {
            optimizer,
            optimizer_at: Span::NONE,
            lr,
            decay_norm: true,
            groups: Groups::default(),
            recompute: Recompute::new(),
            backend,
            dump: Dump::Never,
        }
    }
}
