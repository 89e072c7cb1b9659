//! Settings of a training that have no effect beside the others.

use super::config::{Augment, By, Schedule, TrainConfig};
use crate::diagnostic::Diagnostic;
use crate::ir::op::UpdateRule;
use crate::ir::types::DType;
use crate::source::Span;
use crate::spec::yaml::keys::KeySpans;

/// What is wrong with a training's settings side by side, then what is right and has no effect. What is counted in steps waits
/// for the number of images: [`beyond_the_end`].
pub(crate) fn check(train: &TrainConfig, keys: &KeySpans) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let mut warnings = beyond_the_end(train, keys, By::Epoch, train.epochs);
    warnings.extend(optimizer(train, keys));
    warnings.extend(factors(train, keys));
    warnings.extend(groups(train, keys));
    warnings.extend(precision(train, keys));
    (rising(train, keys).into_iter().collect(), warnings)
}

fn at(keys: &KeySpans, path: &str) -> Span {
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
    match &train.schedule {
        Schedule::Multistep { milestones, by, .. } if *by == unit => {
            let late = milestones.iter().filter(|&&milestone| milestone >= total).count();
            if late > 0 {
                let message = match late {
                    1 => "a milestone lies behind the end of the training".to_owned(),
                    late => format!("{late} milestones lie behind the end of the training"),
                };
                warnings.push(Diagnostic::warning(message, at(keys, "schedule.multistep.milestones"), whole));
            }
        }
        Schedule::Step { every, by, .. } if *by == unit && *every >= total => {
            let message = "the learning rate never changes: its period is as long as the training";
            warnings.push(Diagnostic::warning(message, at(keys, "schedule.step.every"), whole));
        }
        Schedule::Step { .. }
        | Schedule::Multistep { .. }
        | Schedule::Constant
        | Schedule::Cosine { .. }
        | Schedule::OneCycle { .. } => {}
    }
    warnings
}

/// A rate that would rise where it is to fall.
fn rising(train: &TrainConfig, keys: &KeySpans) -> Option<Diagnostic> {
    let Schedule::Cosine { min_lr, .. } = train.schedule else { return None };
    let fault = Diagnostic::error(
        "`min_lr` is above the learning rate",
        at(keys, "schedule.cosine.min_lr"),
        format!("this is {min_lr}"),
    );
    let fault = fault.label(
        at(keys, &format!("optimizer.{}.lr", train.optimizer.name())),
        format!("`lr` is {}", train.lr),
    );
    (min_lr > train.lr).then(|| fault.help("a cosine falls from `lr` to `min_lr`"))
}

fn optimizer(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let name = train.optimizer.name();
    let key = |key: &str| keys.get(&format!("train.optimizer.{name}.{key}"));
    let mut warnings = Vec::new();
    if train.lr == 0.0 {
        let span = at(keys, &format!("optimizer.{name}.lr"));
        warnings.push(Diagnostic::warning("nothing is trained", span, "a learning rate of 0"));
    }
    if let (false, 0.0, Some(span)) = (train.decay_norm, train.optimizer.weight_decay(), key("decay_norm")) {
        warnings.push(Diagnostic::warning("`decay_norm` has no effect", span, "there is no weight decay"));
    }
    if let (UpdateRule::Sgd(sgd), Some(span)) = (train.optimizer, key("dampening"))
        && sgd.momentum == 0.0
        && sgd.dampening != 0.0
    {
        warnings.push(Diagnostic::warning("`dampening` has no effect", span, "there is no momentum"));
    }
    warnings
}

/// Rates that are everyone's.
fn groups(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut idle = |key: &str, path: &str, text: &str| {
        warnings.push(Diagnostic::warning(format!("`{key}` has no effect"), at(keys, path), text));
    };
    let alone = train.groups.backbone_lr == Some(0.0);
    if train.groups.layer_decay == Some(1.0) {
        idle("layer_decay", "layer_decay", "all layers have the same rate");
    } else if train.groups.layer_decay.is_some() && alone {
        idle("layer_decay", "layer_decay", "the head alone is trained");
    }
    if train.groups.backbone_lr == Some(1.0) {
        idle("backbone_lr", "finetune.backbone_lr", "times 1");
    }
    warnings
}

/// Factors that change nothing.
fn factors(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut idle = |path: &str, message: &str, text: &str| {
        warnings.push(Diagnostic::warning(message, at(keys, path), text));
    };
    match train.schedule {
        Schedule::Step { gamma: 1.0, .. } => {
            idle("schedule.step.gamma", "the learning rate never changes", "times 1");
        }
        Schedule::Multistep { gamma: 1.0, .. } => {
            idle("schedule.multistep.gamma", "the learning rate never changes", "times 1");
        }
        Schedule::OneCycle { peak: 0.0, .. } if keys.get("train.schedule.one_cycle.start").is_some() => {
            idle("schedule.one_cycle.start", "`start` has no effect", "the peak is at the beginning");
        }
        Schedule::OneCycle { peak: 1.0, .. } if keys.get("train.schedule.one_cycle.end").is_some() => {
            idle("schedule.one_cycle.end", "`end` has no effect", "the peak is at the end");
        }
        Schedule::Step { .. }
        | Schedule::Multistep { .. }
        | Schedule::Constant
        | Schedule::Cosine { .. }
        | Schedule::OneCycle { .. } => {}
    }
    if train.warmup.is_some_and(|warmup| warmup.from == 1.0) {
        idle("warmup.from", "the warm-up has no effect", "it begins with the full rate");
    }
    if train.augment.iter().any(|step| matches!(step, Augment::Flip { probability: 0.0 })) {
        idle("augment", "`flip` has no effect", "a probability of 0");
    }
    warnings
}

/// What belongs to another precision.
fn precision(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let is = format!("the precision is {}", train.precision_word());
    let mut idle = |key: &str, help: &str| {
        if let Some(span) = keys.get(&format!("train.{key}")) {
            let warning = Diagnostic::warning(format!("`{key}` has no effect"), span, is.clone());
            warnings.push(warning.help(help));
        }
    };
    if train.scale().is_none() {
        idle("loss_scale", "it belongs to `precision: fp16`: take it out");
    }
    if train.tf32 && train.precision != DType::F32 {
        idle("tf32", "it belongs to `precision: f32`: take it out");
    }
    warnings
}
