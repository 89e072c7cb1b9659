//! The learning rate that a large batch wants is too high for a network's first steps, and so is one that grows with the processes.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::spec::train::{ScaleLr, Schedule};

/// What to do about it.
const HELP: &str = "add `warmup: {length: 5}`, five epochs from a small rate to the full one";

/// The paper's baseline needs no warm-up.
const BASELINE: usize = 256;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let starts_low = train.warmup.is_some() || matches!(train.schedule, Schedule::OneCycle { .. });
    if !subject.trains() || starts_low {
        return Vec::new();
    }
    if train.parallel.scale_lr != ScaleLr::None {
        let message = "a learning rate that grows with the number of processes, without a warm-up";
        let label = format!("`{}`", train.parallel.scale_lr.word());
        return vec![
            Diagnostic::warning(message, subject.place("train.parallel.scale_lr"), label).help(HELP),
        ];
    }
    if train.batch_size <= BASELINE {
        return Vec::new();
    }
    let span = subject.place("train.batch_size");
    let message = format!("batches of {} images without a warm-up of the learning rate", train.batch_size);
    let warning = Diagnostic::warning(message, span, format!("more than {BASELINE}"));
    vec![warning.help(HELP)]
}
