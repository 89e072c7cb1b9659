//! Sums of gradients over more batches than there are.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Updates end with the epoch: more batches than an epoch has are never summed.
pub(super) fn beyond_the_epoch(subject: &Subject<'_>, images: usize) -> Option<Diagnostic> {
    let train = &subject.spec.train;
    let batches = images.div_ceil(train.batch_size.max(1));
    let span = subject.spec.keys.get("train.accumulate").unwrap_or(Span::NONE);
    let warning = Diagnostic::warning(
        "an epoch makes one update",
        span,
        format!("of {batches} batches, which are all that it has"),
    );
    let help = format!("`accumulate: {batches}` says the same; a smaller number makes more updates");
    (train.accumulate > batches).then(|| warning.help(help))
}
