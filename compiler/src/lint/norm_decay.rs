//! Weight decay pulls the scales and shifts of normalisations, and biases, to zero, which regularises nothing: only
//! weights should decay.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::Op;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let normalizes = subject.nodes().any(|node| matches!(node.op, Op::BatchNorm(_) | Op::GroupNorm(_)));
    if !subject.trains() || !normalizes || !train.decay_norm || train.optimizer.weight_decay() == 0.0 {
        return Vec::new();
    }
    let span = subject.place(&format!("train.optimizer.{}.weight_decay", train.optimizer.name()));
    let message = "weight decay applies to normalisations and biases too";
    let warning =
        Diagnostic::warning(message, span, format!("{} for every parameter", train.optimizer.weight_decay()));
    vec![warning.help("set `decay_norm: false` beside it")]
}
