//! The learning rate that a large batch wants is too high for a network's first steps.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::spec::train::Schedule;

/// The paper's baseline needs no warm-up.
const BASELINE: usize = 256;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let starts_low = train.warmup.is_some() || matches!(train.schedule, Schedule::OneCycle { .. });
    if !subject.trains() || starts_low || train.batch_size <= BASELINE {
        return Vec::new();
    }
    let span = subject.place("train.batch_size");
    let message = format!("batches of {} images without a warm-up of the learning rate", train.batch_size);
    let warning = Diagnostic::warning(message, span, format!("more than {BASELINE}"));
    vec![warning.help("add `warmup: {length: 5}`, five epochs from a small rate to the full one")]
}
