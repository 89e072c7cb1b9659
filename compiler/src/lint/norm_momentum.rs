//! The momentum of batch normalisation is the weight of the new batch here, as in PyTorch. Elsewhere it is that of the old
//! statistics: what is 0.9 there is 0.1 here.

use std::collections::BTreeMap;

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::{BatchNorm, Norm, Op};
use crate::source::Span;

/// More weight than that hardly anyone gives to a single batch.
const MOST: f32 = 0.5;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut found: BTreeMap<Span, f32> = BTreeMap::new();
    for node in subject.nodes() {
        let Op::BatchNorm(BatchNorm { eps, momentum, .. }) = node.op else { continue };
        let plain = subject.spec.norm == Norm::Batch { eps, momentum };
        let span = if plain { subject.spec.keys.get("norm").unwrap_or(node.span) } else { node.span };
        found.insert(span, momentum);
    }
    let odd = found.into_iter().filter(|&(_, momentum)| momentum == 0.0 || momentum > MOST);
    odd.map(|(span, momentum)| match momentum {
        0.0 => Diagnostic::warning("running statistics never change", span, "a momentum of 0")
            .help("inference normalises by them: `momentum` is the weight of each new batch, 0.1 by default"),
        _ => {
            let message = format!("a batch weighs {momentum} in the running statistics");
            let other = f64::from(1.0 - momentum);
            let other = (other * 1e6).round() / 1e6;
            Diagnostic::warning(message, span, "more than all batches before it").help(format!(
                "TensorFlow and Keras count the other way round: their {momentum} is {other} here"
            ))
        }
    })
    .collect()
}
