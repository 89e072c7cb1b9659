//! Weight decay pulls the scales and shifts of normalisations, and biases, to zero, which regularises nothing: only
//! weights should decay.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::Op;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let normalizes =
        subject.nodes().any(|node| matches!(node.op, Op::BatchNorm { .. } | Op::GroupNorm { .. }));
    if !subject.trains() || !normalizes || !train.decay_norm || train.sgd.weight_decay == 0.0 {
        return Vec::new();
    }
    let span = subject.place("train.optimizer.sgd.weight_decay");
    let message = "weight decay applies to normalisations and biases too";
    let warning =
        Diagnostic::warning(message, span, format!("{} for every parameter", train.sgd.weight_decay));
    vec![warning.help("set `decay_norm: false` beside it")]
}
