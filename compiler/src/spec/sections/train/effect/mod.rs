//! Settings of a training that have no effect beside the others.

mod parallel;
pub(super) mod schedule;

use super::config::{Augment, TrainConfig};
use super::resizing::Resizing;
use super::schedule::{By, Schedule};
use crate::datasets;
use crate::diagnostic::Diagnostic;
use crate::ir::op::UpdateRule;
use crate::ir::types::DType;
use crate::spec::yaml::keys::KeySpans;
use schedule::at;

/// What is wrong with a training's settings side by side, then what is right and has no effect. What is counted in steps waits
/// for the number of images: [`schedule::beyond_the_end`].
pub(crate) fn check(
    train: &TrainConfig,
    keys: &KeySpans,
    input: Option<[usize; 3]>,
) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let mut warnings = schedule::beyond_the_end(train, keys, By::Epoch, train.epochs);
    warnings.extend(optimizer(train, keys));
    warnings.extend(schedule::idle(train, keys));
    warnings.extend(patience(train, keys));
    warnings.extend(augmentation(train, keys));
    warnings.extend(precision(train, keys));
    warnings.extend(reading(train, keys));
    warnings.extend(groups(train, keys));
    warnings.extend(loss(train, keys));
    warnings.extend(parallel::idle(train, keys));
    warnings.extend(input.and_then(|[_, full @ ..]| resizing(train, keys, full)));
    let mut faults: Vec<Diagnostic> = schedule::rising(train, keys).into_iter().collect();
    faults.extend(average(train, keys));
    faults.extend(crowded(train, keys));
    faults.extend(parallel::refused(train, keys));
    (faults, warnings)
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

/// What an average over epochs does not go together with, and where it would never begin.
fn average(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let Some(swa) = train.swa else { return Vec::new() };
    let place = at(keys, "swa");
    let mut faults = Vec::new();
    if train.ema.is_some() {
        let fault = Diagnostic::error("a training has one average of its weights", place, "one over epochs");
        let fault = fault.label(at(keys, "ema"), "one over updates");
        faults.push(fault.help("take out one of the two"));
    }
    if train.early_stopping.is_some() {
        let fault =
            Diagnostic::error("`swa` needs the training's last epoch", place, "its mean is made then");
        let fault = fault.label(at(keys, "early_stopping"), "this may end the training before");
        faults.push(fault.help("take out one of the two"));
    }
    let first = swa.first_epoch(train.epochs);
    if first > train.epochs {
        let label = format!("epoch {first} of {}", train.epochs);
        let fault =
            Diagnostic::error("`swa` begins behind the end of the training", at(keys, "swa.start"), label);
        faults.push(fault.help("below 1, `start` is a share of the epochs"));
    }
    faults
}

/// Parts of a training for sizes of images that are more than the whole.
fn crowded(train: &TrainConfig, keys: &KeySpans) -> Option<Diagnostic> {
    let Resizing { delay, finetune, .. } = train.progressive_resizing?;
    let fault = Diagnostic::error(
        "`delay` and `finetune` are more than the training",
        at(keys, "progressive_resizing"),
        format!("{delay} and {finetune}"),
    );
    let fault = fault.help("both are shares of the training: images grow in what lies between, so 1 is the most that they may be in sum");
    // Beyond what rounding two shares to `f32` adds.
    (delay + finetune > 1.0 + f32::EPSILON).then_some(fault)
}

/// Images that never are smaller.
fn resizing(train: &TrainConfig, keys: &KeySpans, full: [usize; 2]) -> Option<Diagnostic> {
    train.progressive_resizing?;
    let [height, width] = full;
    let text = format!("all epochs have images of {height}x{width}");
    let place = at(keys, "progressive_resizing");
    let warning = Diagnostic::warning("`progressive_resizing` has no effect", place, text);
    let help = match train.epochs {
        1 => "the last epoch has images of the size of `input`, and there is one alone",
        _ => "write a smaller `initial`, or a smaller `multiple`",
    };
    (train.sizes(full).len() == 1).then(|| warning.help(help))
}

/// What watches evaluations, of which there are not enough.
fn patience(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let evaluations = train.epochs.div_ceil(train.evaluate_every.max(1));
    let mut warnings = Vec::new();
    let mut idle = |patience: usize, path: &str, message: &str| {
        if patience >= evaluations {
            let evaluations = match evaluations {
                1 => "the training has 1 evaluation".to_owned(),
                several => format!("the training has {several} evaluations"),
            };
            warnings.push(Diagnostic::warning(message, at(keys, path), evaluations));
        }
    };
    if let Schedule::Plateau(plateau) = train.schedule {
        idle(plateau.patience, "schedule.plateau.patience", "the learning rate never changes");
    }
    if let Some(early) = train.early_stopping {
        idle(early.patience, "early_stopping.patience", "`early_stopping` has no effect");
    }
    warnings
}

/// Random changes that change nothing.
fn augmentation(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut idle = |path: &str, message: &str, text: &str| {
        warnings.push(Diagnostic::warning(message, at(keys, path), text));
    };
    let never = |step: &Augment| {
        matches!(step, Augment::Flip { probability: 0.0 } | Augment::FlipVertical { probability: 0.0 })
    };
    if train.augment.iter().any(never) {
        idle("augment", "`flip` has no effect", "a probability of 0");
    }
    if train.repeats > 1 && train.augment.is_empty() {
        idle("repeats", "a repeated picture is the same each time", "nothing is in `augment`");
    }
    warnings
}

/// What of the loss and of mixtures changes nothing.
fn loss(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut idle = |key: &str, text: &str| {
        let name = key.rsplit('.').next().expect("a path has a last part");
        let warning = Diagnostic::warning(format!("`{name}` has no effect"), at(keys, key), text);
        warnings.push(warning);
    };
    if !train.class_weights.is_empty() && train.class_weights.iter().all(|&weight| weight == 1.0) {
        idle("class_weights", "all are 1");
    }
    if let Some(distill) = &train.distill {
        if distill.loss.alpha == 0.0 {
            idle("distill", "an `alpha` of 0: the labels have the whole loss");
        }
        if distill.loss.hard && keys.get("train.distill.temperature").is_some() {
            idle("distill.temperature", "`hard: true` takes the likeliest class, whatever its probability");
        }
    }
    if let Some(mix) = train.mix {
        if mix.probability == 0.0 {
            idle("mix", "a probability of 0");
        }
        if (mix.mixup == 0.0 || mix.cutmix == 0.0) && keys.get("train.mix.switch").is_some() {
            idle("mix.switch", "batches are mixed in one way alone");
        }
        if mix.epochs.is_some_and(|epochs| epochs >= train.epochs) {
            idle("mix.epochs", &format!("the training has {} epochs", train.epochs));
        }
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

/// What belongs to a path.
fn reading(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let Some(name) = train.dataset.as_deref().filter(|set| !datasets::is_path(set)) else {
        return Vec::new();
    };
    let idle = |key: &str| {
        let span = keys.get(&format!("train.{key}"))?;
        let warning =
            Diagnostic::warning(format!("`{key}` has no effect"), span, format!("the data set is `{name}`"));
        Some(warning.help("it belongs to a path of pictures: take it out"))
    };
    ["split", "on_error"].into_iter().filter_map(idle).collect()
}
