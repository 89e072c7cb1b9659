//! Settings of schedules that are wrong beside others, or have no effect.

use super::super::config::TrainConfig;
use super::super::schedule::{By, Schedule};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::spec::yaml::keys::KeySpans;

/// Where a key of the section stands, or the one around it.
pub(super) fn at(keys: &KeySpans, path: &str) -> Span {
    keys.nearest(&format!("train.{path}")).unwrap_or(Span::NONE)
}

/// What a schedule or a warm-up plans for after the end of a training of so many epochs or steps, of what it counts in `unit`.
pub fn beyond_the_end(train: &TrainConfig, keys: &KeySpans, unit: By, total: usize) -> Vec<Diagnostic> {
    let whole = match unit {
        By::Epoch => format!("the training has {total} epochs"),
        By::Step => format!("the training has {total} steps"),
    };
    let mut warnings = Vec::new();
    if let Some(warmup) = train.warmup.filter(|warmup| warmup.by == unit && warmup.length >= total) {
        let message = "the warm-up is as long as the training: the schedule never begins";
        let text = format!("{}, and {whole}", warmup.length);
        warnings.push(Diagnostic::warning(message, at(keys, "warmup.length"), text));
    }
    let mut late = |message: &str, path: &str| {
        warnings.push(Diagnostic::warning(message, at(keys, path), whole.clone()));
    };
    match &train.schedule {
        Schedule::Multistep { milestones, by, .. } if *by == unit => {
            match milestones.iter().filter(|&&milestone| milestone >= total).count() {
                0 => {}
                1 => late("a milestone lies behind the end of the training", "schedule.multistep.milestones"),
                several => late(
                    &format!("{several} milestones lie behind the end of the training"),
                    "schedule.multistep.milestones",
                ),
            }
        }
        Schedule::Step { every, by, .. } if *by == unit && *every >= total => late(
            "the learning rate never changes: its period is as long as the training",
            "schedule.step.every",
        ),
        Schedule::CosineRestarts { period, by, .. } if *by == unit && *period >= total => late(
            "the learning rate never begins anew: its period is as long as the training",
            "schedule.cosine_restarts.period",
        ),
        _ => {}
    }
    warnings
}

/// A rate that would rise where it is to fall.
pub(super) fn rising(train: &TrainConfig, keys: &KeySpans) -> Option<Diagnostic> {
    let (name, min_lr) = match train.schedule {
        Schedule::Cosine { min_lr, .. } => ("cosine", min_lr),
        Schedule::CosineRestarts { min_lr, .. } => ("cosine_restarts", min_lr),
        Schedule::Polynomial { min_lr, .. } => ("polynomial", min_lr),
        Schedule::Plateau(plateau) => ("plateau", plateau.min_lr),
        Schedule::Constant
        | Schedule::Step { .. }
        | Schedule::Multistep { .. }
        | Schedule::Exponential { .. }
        | Schedule::OneCycle { .. } => return None,
    };
    let place = at(keys, &format!("schedule.{name}.min_lr"));
    let fault = Diagnostic::error("`min_lr` is above the learning rate", place, format!("this is {min_lr}"));
    let fault = fault.label(
        at(keys, &format!("optimizer.{}.lr", train.optimizer.name())),
        format!("`lr` is {}", train.lr),
    );
    let fault = fault.help(format!("`{name}` falls from `lr` to `min_lr`"));
    (min_lr > train.lr).then_some(fault)
}

/// Factors and exponents that change nothing.
pub(super) fn idle(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut idle = |path: &str, message: &str, text: &str| {
        warnings.push(Diagnostic::warning(message, at(keys, path), text));
    };
    let never = "the learning rate never changes";
    match train.schedule {
        Schedule::Step { gamma: 1.0, .. } => idle("schedule.step.gamma", never, "times 1"),
        Schedule::Multistep { gamma: 1.0, .. } => idle("schedule.multistep.gamma", never, "times 1"),
        Schedule::Exponential { gamma: 1.0, .. } => idle("schedule.exponential.gamma", never, "times 1"),
        Schedule::Polynomial { power: 0.0, .. } => {
            idle("schedule.polynomial.power", never, "to the power of 0");
        }
        Schedule::OneCycle { peak: 0.0, .. } if keys.get("train.schedule.one_cycle.start").is_some() => {
            idle("schedule.one_cycle.start", "`start` has no effect", "the peak is at the beginning");
        }
        Schedule::OneCycle { peak: 1.0, .. } if keys.get("train.schedule.one_cycle.end").is_some() => {
            idle("schedule.one_cycle.end", "`end` has no effect", "the peak is at the end");
        }
        _ => {}
    }
    if train.warmup.is_some_and(|warmup| warmup.from == 1.0) {
        idle("warmup.from", "the warm-up has no effect", "it begins with the full rate");
    }
    warnings
}
