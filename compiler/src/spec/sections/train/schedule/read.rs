//! Reads schedules and what belongs to them.

use super::super::choice::choose;
use super::super::patience::{EarlyStopping, Metric, Plateau};
use super::keys::{EARLY_STOPPING, MILESTONES, SCHEDULES, WARMUP};
use super::{By, Schedule, Warmup};
use crate::diagnostic::Diagnostic;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::Key;

/// The schedule.
pub fn schedule(reader: &mut Reader<'_>, key: &Key, node: Option<&Node>) -> Schedule {
    let (choice, span, settings) = choose(reader, node, key, SCHEDULES);
    let fields = Fields::read(reader, settings, &choice.settings);
    let needed = |reader: &mut Reader<'_>, key: &str| {
        let found = fields.get(key);
        if found.is_none() {
            let (span, what) = (settings.map_or(span, |s| s.span), format!("`{}`", choice.name));
            reader.missing(settings, span, &what, choice.settings.key(key));
        }
        found
    };
    match choice.name {
        "constant" => Schedule::Constant,
        "step" => Schedule::Step {
            every: needed(reader, "every").map_or(1, |_| fields.count(reader, "every")),
            gamma: fields.number(reader, "gamma"),
            by: by(reader, &fields),
        },
        "multistep" => Schedule::Multistep {
            milestones: needed(reader, "milestones")
                .and_then(|node| milestones(reader, node))
                .unwrap_or_default(),
            gamma: fields.number(reader, "gamma"),
            by: by(reader, &fields),
        },
        "cosine" => Schedule::Cosine { min_lr: fields.number(reader, "min_lr"), by: by(reader, &fields) },
        "cosine_restarts" => Schedule::CosineRestarts {
            period: needed(reader, "period").map_or(1, |_| fields.count(reader, "period")),
            factor: fields.count(reader, "factor"),
            min_lr: fields.number(reader, "min_lr"),
            by: by(reader, &fields),
        },
        "polynomial" => Schedule::Polynomial {
            power: fields.number(reader, "power"),
            min_lr: fields.number(reader, "min_lr"),
            by: by(reader, &fields),
        },
        "exponential" => {
            Schedule::Exponential { gamma: fields.number(reader, "gamma"), by: by(reader, &fields) }
        }
        "plateau" => Schedule::Plateau(plateau(reader, &fields)),
        _ => Schedule::OneCycle {
            start: fields.number(reader, "start"),
            peak: fields.number(reader, "peak"),
            end: fields.number(reader, "end"),
            by: by(reader, &fields),
        },
    }
}

fn milestones(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<usize>> {
    let mut points: Vec<usize> = Vec::new();
    for item in reader.items(node, "`milestones`")? {
        let point = reader.count(item, "a milestone", MILESTONES.count())?;
        if points.last().is_some_and(|&last| last >= point) {
            let fault = Diagnostic::error("milestones must ascend", item.span, "not after the one before it");
            reader.fault(fault.help("write them in order: `[82, 123]`"));
            return None;
        }
        points.push(point);
    }
    if points.is_empty() {
        let fault = Diagnostic::error("`milestones` is empty", node.span, "no points");
        reader.fault(fault.help("a rate that never changes is `schedule: constant`"));
        return None;
    }
    Some(points)
}

fn by(reader: &mut Reader<'_>, fields: &Fields<'_>) -> By {
    match fields.word(reader, "by", "unit of time") {
        "epoch" => By::Epoch,
        _ => By::Step,
    }
}

/// The warm-up before it.
pub fn warmup(reader: &mut Reader<'_>, node: &Node) -> Warmup {
    let fields = Fields::read(reader, Some(node), &WARMUP);
    let length = match fields.get("length") {
        Some(_) => fields.count(reader, "length"),
        None => {
            reader.missing(Some(node), node.span, "`warmup`", WARMUP.key("length"));
            0
        }
    };
    Warmup { length, by: by(reader, &fields), from: fields.number(reader, "from") }
}

fn plateau(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Plateau {
    Plateau {
        metric: Metric::of(fields.word(reader, "metric", "metric")),
        factor: fields.number(reader, "factor"),
        patience: fields.count(reader, "patience"),
        threshold: fields.number(reader, "threshold"),
        cooldown: fields.count(reader, "cooldown"),
        min_lr: fields.number(reader, "min_lr"),
    }
}

/// When the training ends early.
pub fn early_stopping(reader: &mut Reader<'_>, node: &Node) -> EarlyStopping {
    let fields = Fields::read(reader, Some(node), &EARLY_STOPPING);
    let patience = match fields.get("patience") {
        Some(_) => fields.count(reader, "patience"),
        None => {
            reader.missing(Some(node), node.span, "`early_stopping`", EARLY_STOPPING.key("patience"));
            1
        }
    };
    EarlyStopping {
        metric: Metric::of(fields.word(reader, "metric", "metric")),
        patience,
        min_delta: fields.number(reader, "min_delta"),
    }
}
