//! Units for matrices of 16-bit numbers take eight or more of them at once; other channel counts leave a part idle.

use std::collections::HashSet;

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::Op;
use crate::source::Span;

/// Channels that are multiples of this fill the units.
const MULTIPLE: usize = 8;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    if !subject.trains() || !train.precision.is_narrow() {
        return Vec::new();
    }
    let mut found: Vec<(Span, usize)> = Vec::new();
    let mut known = HashSet::new();
    for node in subject.nodes().filter(|node| matches!(node.op, Op::Conv(_))) {
        let Some([_, channels, ..]) = node.types.first().and_then(|ty| ty.shape.nchw()) else { continue };
        if !channels.is_multiple_of(MULTIPLE) && known.insert((node.span, channels)) {
            found.push((node.span, channels));
        }
    }
    let (place, precision) = (subject.place("train.precision"), train.precision_word());
    let warn = |(span, channels): (Span, usize)| {
        let message = format!("{channels} channels of {precision} are no multiple of {MULTIPLE}");
        Diagnostic::warning(message, span, format!("{channels} channels"))
            .label(place, precision)
            .help(format!("take {} channels", channels.next_multiple_of(MULTIPLE)))
    };
    found.into_iter().map(warn).collect()
}
