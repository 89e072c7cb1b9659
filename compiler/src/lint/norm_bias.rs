//! What is added to all pixels of a channel, batch normalisation takes away again as their mean: its own shift is the bias.

use std::collections::BTreeSet;

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::{Conv, Op};
use crate::source::Span;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let graph = subject.graph;
    let biased = graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Conv(Conv { bias: true, .. })));
    let lost = biased.filter(|&id| match graph.users(id.into()).as_slice() {
        [(user, _)] => matches!(graph.node(*user).op, Op::BatchNorm(_)),
        _ => false,
    });
    let places: BTreeSet<Span> = lost.map(|id| graph.node(id).span).collect();
    let warn = |span| {
        let message = "batch normalisation takes the bias of the convolution away";
        Diagnostic::warning(message, span, "a `bias` without effect")
            .help("take `bias` out: the shift of `bn` is one")
    };
    places.into_iter().map(warn).collect()
}
