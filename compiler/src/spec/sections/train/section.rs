//! Reads the `train:` section into a [`TrainConfig`].

use super::augment;
use super::config::{By, Keep, Normalize, Schedule, TrainConfig, Warmup};
use super::keys::{DYNAMIC, KEEP, MILESTONES, NORMALIZE, OPTIMIZERS, SCALES, SCHEDULES, TRAIN, WARMUP};
use super::loss::{self, LOSSES};
use crate::datasets::{self, Facts};
use crate::diagnostic::Diagnostic;
use crate::ir::loss_scale::LossScale;
use crate::ir::types::DType;
use crate::ir::update::{AdamWAttrs, SgdAttrs, UpdateRule};
use crate::source::{Span, Spanned};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Choice, Section};

/// Pixel statistics of a data set; of an unknown one, those that map `0..1` to `-1..1`.
fn normalization(dataset: Option<&str>, channels: usize) -> Normalize {
    match dataset.and_then(datasets::find) {
        Some(Facts { mean, std, .. }) if channels == mean.len() => {
            Normalize { mean: mean.to_vec(), std: std.to_vec() }
        }
        _ => Normalize { mean: vec![0.5; channels], std: vec![0.5; channels] },
    }
}

/// Reads the section; where there is none, all holds that its keys have by default. Faults go to the reader; where there
/// are some, what returns is of no use.
pub fn read(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    input: Option<&Spanned<[usize; 3]>>,
    classes: Option<&Spanned<usize>>,
) -> TrainConfig {
    let fields = Fields::read(reader, node, &TRAIN);
    let dataset = fields.get("dataset").and_then(|node| dataset(reader, node));
    let given = fields.get("normalize").and_then(|node| normalize(reader, node, input));
    let channels = input.map_or(3, |input| input.value[0]);
    let normalize = given.unwrap_or_else(|| normalization(dataset.as_deref(), channels));
    let seed = fields.get("seed").and_then(|node| reader.integer(node, "`seed`", TRAIN.count("seed")));
    let (chosen, _, settings) = choice(reader, fields.get("loss"), "loss", LOSSES);
    let objective = loss::objective(reader, chosen, settings);
    let weights = fields.get("class_weights").and_then(|node| loss::class_weights(reader, node, classes));
    let (lr, optimizer, decay_norm) = optimizer(reader, fields.get("optimizer"));
    TrainConfig {
        dataset,
        epochs: fields.count(reader, "epochs"),
        batch_size: fields.count(reader, "batch_size"),
        lr,
        optimizer,
        decay_norm,
        schedule: schedule(reader, fields.get("schedule")),
        warmup: fields.get("warmup").map(|node| warmup(reader, node)),
        label_smoothing: fields.number(reader, "label_smoothing"),
        loss: objective,
        class_weights: weights.unwrap_or_default(),
        mix: fields.get("mix").and_then(|node| loss::mix(reader, node)),
        normalize,
        augment: fields.get("augment").map(|node| augment::read(reader, node)).unwrap_or_default(),
        mirrored_evaluation: fields.word(reader, "tta", "test-time augmentation") == "flip",
        evaluate_every: fields.count(reader, "evaluate_every"),
        checkpoint_every: fields.count(reader, "checkpoint_every"),
        keep: fields.get("keep").map(|node| keep(reader, node)).unwrap_or_default(),
        seed: seed.unwrap_or_else(|| TRAIN.default("seed")),
        precision: match fields.word(reader, "precision", "precision") {
            "bf16" => DType::Bf16,
            "fp16" => DType::F16,
            _ => DType::F32,
        },
        loss_scale: fields.get("loss_scale").map(|node| loss_scale(reader, node)).unwrap_or_default(),
        tf32: fields.flag(reader, "tf32"),
    }
}

fn loss_scale(reader: &mut Reader<'_>, node: &Node) -> LossScale {
    match &node.kind {
        Kind::Scalar { text, .. } if text == DYNAMIC => LossScale::default(),
        Kind::Scalar { text, .. } if text.starts_with(char::is_alphabetic) => {
            reader.unknown("loss scale", text, node.span, &[DYNAMIC]);
            LossScale::default()
        }
        _ => reader
            .number(node, "`loss_scale`", SCALES[0]..=SCALES[1])
            .map_or_else(LossScale::default, LossScale::Static),
    }
}

fn dataset(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`dataset`")?;
    if datasets::find(name).is_none() {
        reader.unknown("data set", name, node.span, &datasets::NAMES);
    }
    Some(name.to_string())
}

/// One of a kind with its settings; where nothing is written, or something wrong, the one that the key has by default.
fn choice<'n>(
    reader: &mut Reader<'_>,
    node: Option<&'n Node>,
    key: &'static str,
    known: &'static [Choice],
) -> (&'static Choice, Span, Option<&'n Node>) {
    let find = |name: &str| known.iter().find(|choice| choice.name == name);
    let default = find(TRAIN.key(key).default.text()).expect("the default is one of its kind");
    let chosen = node.and_then(|node| reader.choice(node, &format!("`{key}`")));
    let Some((name, span, settings)) = chosen else { return (default, Span::NONE, None) };
    if let Some(choice) = find(name) {
        return (choice, span, settings);
    }
    let names: Vec<&str> = known.iter().map(|choice| choice.name).collect();
    reader.unknown(key, name, span, &names);
    (default, span, None)
}

/// The learning rate, the rule with its constants, and whether weight decay applies to normalisations too.
fn optimizer(reader: &mut Reader<'_>, node: Option<&Node>) -> (f32, UpdateRule, bool) {
    let (choice, _, settings) = choice(reader, node, "optimizer", OPTIMIZERS);
    let fields = Fields::read(reader, settings, &choice.settings);
    let rule = match choice.name {
        "sgd" => UpdateRule::Sgd(sgd(reader, &fields, settings)),
        _ => UpdateRule::AdamW(AdamWAttrs {
            beta1: fields.number(reader, "beta1"),
            beta2: fields.number(reader, "beta2"),
            eps: fields.number(reader, "eps"),
            weight_decay: fields.number(reader, "weight_decay"),
        }),
    };
    (fields.number(reader, "lr"), rule, fields.flag(reader, "decay_norm"))
}

fn sgd(reader: &mut Reader<'_>, fields: &Fields<'_>, settings: Option<&Node>) -> SgdAttrs {
    let sgd = SgdAttrs {
        momentum: fields.number(reader, "momentum"),
        dampening: fields.number(reader, "dampening"),
        nesterov: fields.flag(reader, "nesterov"),
        weight_decay: fields.number(reader, "weight_decay"),
    };
    if let Some(settings) = settings
        && sgd.nesterov
        && (sgd.momentum == 0.0 || sgd.dampening != 0.0)
    {
        let fault =
            Diagnostic::error("`nesterov` needs a momentum and no dampening", settings.span, "not so here");
        reader.fault(fault.help("write `momentum: 0.9` and no `dampening`, or take `nesterov` out"));
    }
    sgd
}

fn schedule(reader: &mut Reader<'_>, node: Option<&Node>) -> Schedule {
    let (choice, span, settings) = choice(reader, node, "schedule", SCHEDULES);
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

fn warmup(reader: &mut Reader<'_>, node: &Node) -> Warmup {
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

fn keep(reader: &mut Reader<'_>, node: &Node) -> Keep {
    let fields = Fields::read(reader, Some(node), &KEEP);
    let every = fields.get("every").map(|_| fields.count(reader, "every"));
    Keep { best: fields.flag(reader, "best"), last: fields.count(reader, "last"), every }
}

fn normalize(reader: &mut Reader<'_>, node: &Node, input: Option<&Spanned<[usize; 3]>>) -> Option<Normalize> {
    let entries = reader.fields(node, &NORMALIZE)?;
    let (mut mean, mut std) = (None, None);
    for entry in &entries {
        let values = per_channel(reader, entry, input, &NORMALIZE);
        if entry.key == "mean" { mean = values } else { std = values }
    }
    for key in ["mean", "std"] {
        if !entries.iter().any(|e| e.key == key) {
            reader.missing(Some(node), node.span, "`normalize`", NORMALIZE.key(key));
        }
    }
    Some(Normalize { mean: mean?, std: std? })
}

/// One number for each channel of the input, as a section's table bounds it. Where the input is not known, another fault says so.
pub(crate) fn per_channel(
    reader: &mut Reader<'_>,
    entry: &Entry,
    input: Option<&Spanned<[usize; 3]>>,
    section: &Section,
) -> Option<Vec<f32>> {
    let (node, what) = (&entry.value, format!("`{}`", entry.key));
    let items = reader.items(node, &what)?;
    if let Some(input) = input.filter(|input| input.value[0] != items.len()) {
        reader.fault(other_channels(&what, node.span, items.len(), input));
        return None;
    }
    items.iter().map(|item| reader.number(item, &what, section.number(&entry.key))).collect()
}

/// Which of the two is wrong, only the writer knows; but for channels that stand last, as other frameworks have them.
fn other_channels(what: &str, span: Span, numbers: usize, input: &Spanned<[usize; 3]>) -> Diagnostic {
    let [channels, height, width] = input.value;
    let count = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    let fault =
        format!("{what} has {} for images of {}", count(numbers, "number"), count(channels, "channel"));
    let fault = Diagnostic::error(fault, span, count(numbers, "number"));
    let fault = fault.label(input.span, count(channels, "channel"));
    fault.help(match width == numbers && width < channels {
        true => {
            format!(
                "`input` is `[channels, height, width]`: perhaps `[{width}, {channels}, {height}]` is meant"
            )
        }
        false => "write one number for each channel, or correct the channels of `input`".to_owned(),
    })
}
