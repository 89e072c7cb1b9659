//! A normalisation over one value gives its shift, whatever the value: nothing that stands before it is trained. Batch
//! normalisation has one value per channel where a batch of one image meets a map of one pixel.

use std::collections::BTreeSet;

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Node, NodeId};
use crate::ir::op::{GroupNorm, Op};
use crate::source::Span;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let batch =
        if train.batch_size == 1 { batches_of_one(subject, "batches of one image") } else { Vec::new() };
    batch.into_iter().chain(groups_of_one(subject)).collect()
}

/// What a training on so many images meets, its last batch included.
pub(super) fn in_training(subject: &Subject<'_>, images: usize) -> Vec<Diagnostic> {
    let size = subject.spec.train.batch_size.min(images.max(1));
    let batch = match (size, images % size) {
        (1, _) => batches_of_one(subject, "every batch has one image"),
        (_, 1) => {
            let text = format!("{images} images in batches of {size} leave one for the last batch");
            batches_of_one(subject, &text)
        }
        (_, _) => Vec::new(),
    };
    batch.into_iter().chain(groups_of_one(subject)).collect()
}

fn batches_of_one(subject: &Subject<'_>, why: &str) -> Vec<Diagnostic> {
    let size = subject.place("train.batch_size");
    let places = places(subject.graph, |node, pixels, _| matches!(node.op, Op::BatchNorm(_)) && pixels == 1);
    let warn = |span| {
        let message = "batch normalisation over one value per channel";
        Diagnostic::warning(message, span, "on a map of one pixel")
            .label(size, why)
            .help("take another batch size, `group_norm`, or no normalisation of maps of one pixel")
    };
    places.into_iter().map(warn).collect()
}

fn groups_of_one(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let places = places(
        subject.graph,
        |node, pixels, channels| matches!(node.op, Op::GroupNorm(GroupNorm { groups, .. }) if pixels * channels == groups),
    );
    let warn = |span| {
        let warning =
            Diagnostic::warning("group normalisation over one value", span, "as many groups as values");
        warning.help("take fewer groups, or no normalisation of maps of one pixel")
    };
    places.into_iter().map(warn).collect()
}

/// Places of normalisations, by their input's pixels and channels; each once, in order.
fn places(graph: &Graph, wanted: impl Fn(&Node, usize, usize) -> bool) -> BTreeSet<Span> {
    let is_wanted = |&id: &NodeId| {
        let ty = graph.operands(id).first().and_then(|&x| graph.value_type(x));
        let sizes = ty.and_then(|ty| ty.shape.nchw());
        sizes.is_some_and(|[_, c, h, w]| wanted(graph.node(id), h * w, c))
    };
    graph.ids().filter(is_wanted).map(|id| graph.node(id).span).collect()
}
