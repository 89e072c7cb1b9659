//! Weight decay pulls the scales and shifts of normalisations, and biases, to zero, which regularises nothing: only
//! weights should decay.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::groups::alternatives;
use crate::ir::op::Op;
use crate::spec::train::TrainConfig;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let normalizes = subject.nodes().any(|node| matches!(node.op, Op::BatchNorm(_) | Op::GroupNorm(_)));
    if !subject.trains()
        || !normalizes
        || !train.decay_norm
        || excepted(train)
        || train.optimizer.weight_decay() == 0.0
    {
        return Vec::new();
    }
    let span = subject.place(&format!("train.optimizer.{}.weight_decay", train.optimizer.name()));
    let message = "weight decay applies to normalisations and biases too";
    let warning =
        Diagnostic::warning(message, span, format!("{} for every parameter", train.optimizer.weight_decay()));
    vec![warning.help("set `decay_norm: false` beside it")]
}

/// Whether a group takes the decay off normalisations.
fn excepted(train: &TrainConfig) -> bool {
    let of_norms = |pattern: &str| alternatives(pattern).any(|part| part == "norm");
    train.groups.rules.iter().any(|rule| rule.weight_decay == Some(0.0) && of_norms(&rule.pattern))
}
