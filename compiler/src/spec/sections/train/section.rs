//! Reads the `train:` section into a [`TrainConfig`]; its defaults live here.

use super::config::{Augment, By, Normalize, Schedule, TrainConfig, Warmup};
use crate::datasets::{self, Facts};
use crate::diagnostic::Diagnostic;
use crate::ir::types::DType;
use crate::ir::update::{AdamWAttrs, SgdAttrs, UpdateRule};
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of the section.
pub const TRAIN: Section = Section {
    what: "`train`",
    keys: &[
        Key::new(
            "dataset",
            Shape::Word(&datasets::NAMES),
            "What to train on where the command line names nothing.",
        ),
        Key::new("epochs", Shape::Count(1, MOST), "Passes over the training set."),
        Key::new("batch_size", Shape::Count(1, 1 << 16), "Images per step."),
        Key::new("optimizer", Shape::Choice(OPTIMIZERS), "How parameters are updated."),
        Key::new("schedule", Shape::Choice(SCHEDULES), "Learning rate over time."),
        Key::new("warmup", Shape::Section(&WARMUP), "Linear rise of the learning rate at the beginning."),
        Key::new("label_smoothing", Shape::Number(0.0, 0.999), "Of the loss."),
        Key::new(
            "normalize",
            Shape::Section(&NORMALIZE),
            "Of the pixels; by default the data set's statistics.",
        ),
        Key::new(
            "augment",
            Shape::List(&Shape::Steps(AUGMENTATIONS), 0, None),
            "Random changes of images, in order.",
        ),
        Key::new("evaluate_every", Shape::Count(1, MOST), "Epochs between evaluations."),
        Key::new("checkpoint_every", Shape::Count(1, MOST), "Epochs between checkpoints."),
        Key::new("seed", Shape::Count(0, u64::MAX), "Of weights, order and augmentation."),
        Key::new("precision", Shape::Word(&["f32", "bf16"]), "Of feature maps and convolutions."),
    ],
};

const OPTIMIZERS: &[(&str, Section)] = &[("sgd", SGD), ("adamw", ADAMW)];

const RATE: Key = Key::new("lr", Shape::Number(0.0, 1e6), "Learning rate before the schedule.");
const DECAY_NORM: Key =
    Key::new("decay_norm", Shape::Flag, "Whether weight decay applies to normalisations and biases too.");

const SGD: Section = Section {
    what: "`sgd`",
    keys: &[
        RATE,
        Key::new("momentum", Shape::Number(0.0, 1.0), "Of the velocity."),
        Key::new("dampening", Shape::Number(0.0, 1.0), "Of the gradient in the velocity."),
        Key::new("nesterov", Shape::Flag, "Whether the gradient looks ahead."),
        Key::new("weight_decay", Shape::Number(0.0, 1e3), "Factor of the weights in their gradient."),
        DECAY_NORM,
    ],
};

const ADAMW: Section = Section {
    what: "`adamw`",
    keys: &[
        RATE,
        Key::new("beta1", Shape::Number(0.0, 0.999_999), "Decay of the mean gradient."),
        Key::new("beta2", Shape::Number(0.0, 0.999_999), "Decay of the mean squared gradient."),
        Key::new("eps", Shape::Number(0.0, 1.0), "Added to the root of the mean square."),
        Key::new("weight_decay", Shape::Number(0.0, 1e3), "Share of the weights taken off, times the rate."),
        DECAY_NORM,
    ],
};

const BY: Key = Key::new("by", Shape::Word(&["epoch", "step"]), "Unit in which it counts.");
const GAMMA: Key = Key::new("gamma", Shape::Number(0.0, 1e3), "Factor of the rate.");

const SCHEDULES: &[(&str, Section)] = &[
    ("constant", Section { what: "`constant`", keys: &[] }),
    (
        "step",
        Section {
            what: "`step`",
            keys: &[Key::required("every", Shape::Count(1, MOST), "Period."), GAMMA, BY],
        },
    ),
    (
        "multistep",
        Section {
            what: "`multistep`",
            keys: &[
                Key::required(
                    "milestones",
                    Shape::List(&Shape::Count(1, MOST), 1, None),
                    "Points at which the rate changes, ascending.",
                ),
                GAMMA,
                BY,
            ],
        },
    ),
    (
        "cosine",
        Section { what: "`cosine`", keys: &[Key::new("min_lr", Shape::Number(0.0, 1e6), "Last rate."), BY] },
    ),
    (
        "one_cycle",
        Section {
            what: "`one_cycle`",
            keys: &[
                Key::new("start", Shape::Number(0.0, 1.0), "First factor."),
                Key::new(
                    "peak",
                    Shape::Number(0.0, 1.0),
                    "When the rate is highest, as a part of the training.",
                ),
                Key::new("end", Shape::Number(0.0, 1.0), "Last factor."),
                BY,
            ],
        },
    ),
];

const WARMUP: Section = Section {
    what: "`warmup`",
    keys: &[
        Key::required("length", Shape::Count(1, MOST), "How long, in `by`."),
        BY,
        Key::new("from", Shape::Number(0.0, 1.0), "First factor."),
    ],
};

const NORMALIZE: Section = Section {
    what: "`normalize`",
    keys: &[
        Key::required("mean", Shape::List(&Shape::Number(-1e3, 1e3), 1, None), "One per channel."),
        Key::required("std", Shape::List(&Shape::Number(1e-6, 1e3), 1, None), "One per channel, positive."),
    ],
};

const AUGMENTATIONS: &[(&str, Section)] = &[
    (
        "crop",
        Section {
            what: "`crop`",
            keys: &[Key::new("padding", Shape::Count(1, 1 << 12), "Pixels on each side.")],
        },
    ),
    (
        "flip",
        Section { what: "`flip`", keys: &[Key::new("probability", Shape::Number(0.0, 1.0), "How often.")] },
    ),
    (
        "cutout",
        Section {
            what: "`cutout`",
            keys: &[Key::new("size", Shape::Count(1, 1 << 12), "Length of a side.")],
        },
    ),
];

/// The settings that a name chooses, and all names.
fn chosen(
    choices: &'static [(&'static str, Section)],
    name: &str,
) -> Result<&'static Section, Vec<&'static str>> {
    let found = choices.iter().find(|(known, _)| *known == name);
    found.map(|(_, section)| section).ok_or_else(|| choices.iter().map(|(known, _)| *known).collect())
}

/// Most epochs, steps of a schedule, images in a batch.
const MOST: u64 = 1 << 24;

/// What an absent section means, for images of that many channels.
pub fn default(channels: usize) -> TrainConfig {
    TrainConfig {
        dataset: None,
        epochs: 10,
        batch_size: 128,
        lr: 0.1,
        optimizer: UpdateRule::Sgd(SGD_DEFAULT),
        decay_norm: true,
        schedule: Schedule::Cosine { min_lr: 0.0, by: By::Step },
        warmup: None,
        label_smoothing: 0.0,
        normalize: normalization(None, channels),
        augment: Vec::new(),
        evaluate_every: 1,
        checkpoint_every: 1,
        seed: 0,
        precision: DType::F32,
    }
}

/// Pixel statistics of a data set; of an unknown one, those that map `0..1` to `-1..1`.
fn normalization(dataset: Option<&str>, channels: usize) -> Normalize {
    match dataset.and_then(datasets::find) {
        Some(Facts { mean, std, .. }) if channels == mean.len() => {
            Normalize { mean: mean.to_vec(), std: std.to_vec() }
        }
        _ => Normalize { mean: vec![0.5; channels], std: vec![0.5; channels] },
    }
}

/// Reads the section. Faults go to the reader; where there are some, what returns is of no use.
pub fn read(reader: &mut Reader<'_>, node: &Node, channels: usize) -> TrainConfig {
    let mut config = default(channels);
    let mut normalized = false;
    for entry in reader.fields(node, &TRAIN).unwrap_or_default() {
        let (value, what) = (&entry.value, format!("`{}`", entry.key));
        match entry.key.as_str() {
            "dataset" => config.dataset = dataset(reader, value),
            "epochs" => set(&mut config.epochs, reader.count(value, &what, TRAIN.count("epochs"))),
            "batch_size" => {
                set(&mut config.batch_size, reader.count(value, &what, TRAIN.count("batch_size")))
            }
            "optimizer" => optimizer(reader, value, &mut config),
            "schedule" => set(&mut config.schedule, schedule(reader, value)),
            "warmup" => config.warmup = warmup(reader, value),
            "label_smoothing" => {
                set(&mut config.label_smoothing, reader.number(value, &what, TRAIN.number("label_smoothing")))
            }
            "normalize" => {
                normalized = true;
                set(&mut config.normalize, normalize(reader, value, channels));
            }
            "augment" => config.augment = augment(reader, value),
            "evaluate_every" => {
                set(&mut config.evaluate_every, reader.count(value, &what, TRAIN.count("evaluate_every")))
            }
            "checkpoint_every" => {
                set(&mut config.checkpoint_every, reader.count(value, &what, TRAIN.count("checkpoint_every")))
            }
            "seed" => set(&mut config.seed, reader.integer(value, &what, TRAIN.count("seed"))),
            _ => set(&mut config.precision, precision(reader, value)),
        }
    }
    if !normalized {
        config.normalize = normalization(config.dataset.as_deref(), channels);
    }
    config
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn dataset(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`dataset`")?;
    if datasets::find(name).is_none() {
        reader.unknown("data set", name, node.span, &datasets::NAMES);
    }
    Some(name.to_string())
}

fn precision(reader: &mut Reader<'_>, node: &Node) -> Option<DType> {
    match reader.text(node, "`precision`")? {
        "f32" => Some(DType::F32),
        "bf16" => Some(DType::Bf16),
        other => {
            reader.unknown("precision", other, node.span, TRAIN.words("precision"));
            None
        }
    }
}

/// Constants where a spec names none. PyTorch's `SGD` has no momentum and no decay; these are the paper's.
const SGD_DEFAULT: SgdAttrs = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };
/// PyTorch's, and its rate.
const ADAMW_DEFAULT: AdamWAttrs = AdamWAttrs { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2 };
const ADAMW_RATE: f32 = 1e-3;

fn optimizer(reader: &mut Reader<'_>, node: &Node, config: &mut TrainConfig) {
    let Some((name, span, settings)) = reader.choice(node, "`optimizer`") else { return };
    let known = match chosen(OPTIMIZERS, name) {
        Ok(known) => known,
        Err(names) => {
            reader.unknown("optimizer", name, span, &names);
            return;
        }
    };
    let (mut sgd, mut adamw) = (SGD_DEFAULT, ADAMW_DEFAULT);
    let is_sgd = name == "sgd";
    if !is_sgd {
        config.lr = ADAMW_RATE;
    }
    let entries = settings.and_then(|settings| reader.fields(settings, known)).unwrap_or_default();
    for entry in entries {
        let (value, what) = (&entry.value, format!("`{}`", entry.key));
        let place = match (entry.key.as_str(), is_sgd) {
            ("decay_norm", _) => {
                set(&mut config.decay_norm, reader.boolean(value, &what));
                continue;
            }
            ("nesterov", _) => {
                set(&mut sgd.nesterov, reader.boolean(value, &what));
                continue;
            }
            ("lr", _) => &mut config.lr,
            ("momentum", _) => &mut sgd.momentum,
            ("dampening", _) => &mut sgd.dampening,
            ("beta1", _) => &mut adamw.beta1,
            ("beta2", _) => &mut adamw.beta2,
            ("eps", _) => &mut adamw.eps,
            (_, true) => &mut sgd.weight_decay,
            (_, false) => &mut adamw.weight_decay,
        };
        set(place, reader.number(value, &what, known.number(&entry.key)));
    }
    config.optimizer = if is_sgd { UpdateRule::Sgd(sgd) } else { UpdateRule::AdamW(adamw) };
    if sgd.nesterov && (sgd.momentum == 0.0 || sgd.dampening != 0.0) {
        let at = settings.map_or(span, |settings| settings.span);
        let fault = Diagnostic::error("`nesterov` needs a momentum and no dampening", at, "not so here");
        reader.fault(fault.help("write `momentum: 0.9` and no `dampening`, or take `nesterov` out"));
    }
}

fn schedule(reader: &mut Reader<'_>, node: &Node) -> Option<Schedule> {
    let (name, span, settings) = reader.choice(node, "`schedule`")?;
    let known = match chosen(SCHEDULES, name) {
        Ok(known) => known,
        Err(names) => {
            reader.unknown("schedule", name, span, &names);
            return None;
        }
    };
    let mut by = if matches!(name, "step" | "multistep") { By::Epoch } else { By::Step };
    let (mut every, mut milestones, mut gamma, mut min_lr) = (None, None, 0.1, 0.0);
    let (mut start, mut peak, mut end) = (0.04, 0.3, 0.0);
    let what = format!("`{name}`");
    let entries = settings.and_then(|s| reader.fields(s, known)).unwrap_or_default();
    for entry in entries {
        let (value, what) = (&entry.value, format!("`{}`", entry.key));
        match entry.key.as_str() {
            "every" => every = Some(reader.count(value, &what, known.count("every"))),
            "milestones" => milestones = Some(self::milestones(reader, value)),
            "gamma" => set(&mut gamma, reader.number(value, &what, known.number("gamma"))),
            "min_lr" => set(&mut min_lr, reader.number(value, &what, known.number("min_lr"))),
            "start" => set(&mut start, reader.number(value, &what, known.number("start"))),
            "peak" => set(&mut peak, reader.number(value, &what, known.number("peak"))),
            "end" => set(&mut end, reader.number(value, &what, known.number("end"))),
            _ => set(&mut by, self::by(reader, value)),
        }
    }
    let section = settings.map_or(span, |s| s.span);
    match name {
        "constant" => Some(Schedule::Constant),
        "step" => {
            if every.is_none() {
                reader.missing(settings, section, &what, "every", "30");
            }
            Some(Schedule::Step { every: every.flatten()?, gamma, by })
        }
        "multistep" => {
            if milestones.is_none() {
                reader.missing(settings, section, &what, "milestones", "[82, 123]");
            }
            Some(Schedule::Multistep { milestones: milestones.flatten()?, gamma, by })
        }
        "cosine" => Some(Schedule::Cosine { min_lr, by }),
        _ => Some(Schedule::OneCycle { start, peak, end, by }),
    }
}

fn milestones(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<usize>> {
    let mut points: Vec<usize> = Vec::new();
    for item in reader.items(node, "`milestones`")? {
        let point = reader.count(item, "a milestone", 1..=MOST)?;
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

fn by(reader: &mut Reader<'_>, node: &Node) -> Option<By> {
    match reader.text(node, "`by`")? {
        "epoch" => Some(By::Epoch),
        "step" => Some(By::Step),
        other => {
            reader.unknown("unit of time", other, node.span, WARMUP.words("by"));
            None
        }
    }
}

fn warmup(reader: &mut Reader<'_>, node: &Node) -> Option<Warmup> {
    let entries = reader.fields(node, &WARMUP)?;
    let mut warmup = Warmup { length: 0, by: By::Epoch, from: 0.01 };
    for entry in &entries {
        match entry.key.as_str() {
            "length" => {
                set(&mut warmup.length, reader.count(&entry.value, "`length`", WARMUP.count("length")))
            }
            "by" => set(&mut warmup.by, by(reader, &entry.value)),
            _ => set(&mut warmup.from, reader.number(&entry.value, "`from`", WARMUP.number("from"))),
        }
    }
    if !entries.iter().any(|e| e.key == "length") {
        reader.missing(Some(node), node.span, "`warmup`", "length", "5");
    }
    Some(warmup)
}

fn normalize(reader: &mut Reader<'_>, node: &Node, channels: usize) -> Option<Normalize> {
    let entries = reader.fields(node, &NORMALIZE)?;
    let (mut mean, mut std) = (None, None);
    for entry in &entries {
        let values = per_channel(reader, entry, channels);
        if entry.key == "mean" { mean = values } else { std = values }
    }
    for key in ["mean", "std"] {
        if !entries.iter().any(|e| e.key == key) {
            reader.missing(Some(node), node.span, "`normalize`", key, "[0.5, 0.5, 0.5]");
        }
    }
    Some(Normalize { mean: mean?, std: std? })
}

fn per_channel(reader: &mut Reader<'_>, entry: &Entry, channels: usize) -> Option<Vec<f32>> {
    let (node, what) = (&entry.value, format!("`{}`", entry.key));
    let items = reader.items(node, &what)?;
    if items.len() != channels {
        let fault = format!("{what} must have one number per channel");
        let fault = Diagnostic::error(fault, node.span, format!("{} of {channels}", items.len()));
        reader.fault(fault.help(format!("`input` has {channels} channels")));
        return None;
    }
    items.iter().map(|item| reader.number(item, &what, NORMALIZE.number(&entry.key))).collect()
}

/// `[{crop: {padding: 4}}, flip]`; a map with several keys is that many steps.
fn augment(reader: &mut Reader<'_>, node: &Node) -> Vec<Augment> {
    let mut steps = Vec::new();
    for item in reader.items(node, "`augment`").unwrap_or_default() {
        match &item.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    let settings = (!entry.value.is_empty()).then_some(&entry.value);
                    steps.extend(augmentation(reader, &entry.key, entry.span, settings));
                }
            }
            Kind::Scalar { text, .. } => steps.extend(augmentation(reader, text, item.span, None)),
            Kind::List(_) => reader.wrong(item, "an item of `augment`", "a name, or a map with one key"),
        }
    }
    steps
}

fn augmentation(
    reader: &mut Reader<'_>,
    name: &str,
    span: crate::source::Span,
    settings: Option<&Node>,
) -> Option<Augment> {
    let (mut padding, mut probability, mut size) = (4, 0.5, 8);
    let known = match chosen(AUGMENTATIONS, name) {
        Ok(known) => known,
        Err(names) => {
            reader.unknown("augmentation", name, span, &names);
            return None;
        }
    };
    for entry in settings.and_then(|s| reader.fields(s, known)).unwrap_or_default() {
        let what = format!("`{}`", entry.key);
        match entry.key.as_str() {
            "padding" => set(&mut padding, reader.count(&entry.value, &what, known.count("padding"))),
            "probability" => {
                set(&mut probability, reader.number(&entry.value, &what, known.number("probability")))
            }
            _ => set(&mut size, reader.count(&entry.value, &what, known.count("size"))),
        }
    }
    Some(match name {
        "crop" => Augment::Crop { padding },
        "flip" => Augment::Flip { probability },
        _ => Augment::Cutout { size },
    })
}
