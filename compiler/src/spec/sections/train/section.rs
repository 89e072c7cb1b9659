//! Reads the `train:` section into a [`TrainConfig`].

use super::augment;
use super::average;
use super::choice::choose;
use super::config::{Keep, Normalize, Reading, TrainConfig};
use super::distill;
use super::groups;
use super::keys::{AUTO, BATCHES, CLIP, DYNAMIC, KEEP, NORMALIZE, SCALES, TRAIN};
use super::loss::{self, LOSSES};
use super::optimizers::{self, OPTIMIZERS};
use super::parallel;
use super::resizing;
use super::schedule::read::{early_stopping, schedule, warmup};
use super::tta;
use crate::datasets::{self, Facts};
use crate::diagnostic::Diagnostic;
use crate::ir::clip::Clip;
use crate::ir::loss_scale::LossScale;
use crate::ir::types::DType;
use crate::ir::update::UpdateRule;
use crate::source::{Span, Spanned};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::Section;

/// Pixel statistics of a data set; of a path ImageNet's, which published weights have, too; of an unknown one, those that map
/// `0..1` to `-1..1`.
fn normalization(dataset: Option<&str>, channels: usize) -> Normalize {
    let imagenet = dataset.filter(|set| datasets::is_path(set)).map(|_| &datasets::IMAGENET);
    match dataset.and_then(datasets::find).or(imagenet) {
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
    let batch_size = fields.get("batch_size").and_then(|node| batch_size(reader, node));
    let (chosen, _, settings) = choose(reader, fields.get("loss"), TRAIN.key("loss"), LOSSES);
    let objective = loss::objective(reader, chosen, settings);
    let weights = fields.get("class_weights").and_then(|node| loss::class_weights(reader, node, classes));
    let (lr, optimizer, decay_norm) = optimizer(reader, fields.get("optimizer"));
    let augment = match fields.get("augment") {
        Some(node) => augment::read(reader, node),
        None => augment::usual(dataset.as_deref(), input),
    };
    TrainConfig {
        reading: Reading {
            split: fields.number(reader, "split"),
            fail: fields.word(reader, "on_error", "way to go on") == "fail",
        },
        dataset,
        epochs: fields.count(reader, "epochs"),
        batch_size: batch_size.unwrap_or_else(|| TRAIN.default("batch_size")),
        accumulate: fields.count(reader, "accumulate").max(1),
        auto_batch: batch_size.is_none() && fields.get("batch_size").is_some(),
        lr,
        optimizer,
        decay_norm,
        groups: groups::read(reader, &fields),
        clip: fields.get("clip").map(|node| clip(reader, node)).unwrap_or_default(),
        ema: fields.get("ema").map(|node| average::ema(reader, node)),
        swa: fields.get("swa").map(|node| average::swa(reader, node)),
        schedule: schedule(reader, TRAIN.key("schedule"), fields.get("schedule")),
        warmup: fields.get("warmup").map(|node| warmup(reader, node)),
        early_stopping: fields.get("early_stopping").map(|node| early_stopping(reader, node)),
        label_smoothing: fields.number(reader, "label_smoothing"),
        loss: objective,
        class_weights: weights.unwrap_or_default(),
        distill: fields.get("distill").and_then(|node| distill::read(reader, node)),
        mix: fields.get("mix").and_then(|node| loss::mix(reader, node)),
        normalize,
        augment,
        repeats: fields.count(reader, "repeats"),
        progressive_resizing: fields.get("progressive_resizing").map(|node| resizing::read(reader, node)),
        tta: fields.get("tta").map(|node| tta::read(reader, node)).unwrap_or_default(),
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
        memory_limit: fields.get("memory_limit").and_then(|node| reader.bytes(node, "`memory_limit`")),
        tf32: fields.flag(reader, "tf32"),
        parallel: fields
            .get("parallel")
            .map(|node| parallel::read(reader, node, &optimizer))
            .unwrap_or_default(),
        deterministic: fields.flag(reader, "deterministic"),
    }
}

/// The number of images; `None` where a training chooses it.
fn batch_size(reader: &mut Reader<'_>, node: &Node) -> Option<usize> {
    match &node.kind {
        Kind::Scalar { text, .. } if text == AUTO => None,
        Kind::Scalar { text, .. } if text.starts_with(char::is_alphabetic) => {
            reader.unknown("batch size", text, node.span, &[AUTO]);
            None
        }
        _ => reader.count(node, "`batch_size`", BATCHES[0]..=BATCHES[1]),
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
    if !datasets::is_path(name) && datasets::find(name).is_none() {
        reader.unknown("data set", name, node.span, &datasets::NAMES);
    }
    Some(name.to_string())
}

/// See [`optimizers::read`].
fn optimizer(reader: &mut Reader<'_>, node: Option<&Node>) -> (f32, UpdateRule, bool) {
    let (choice, _, settings) = choose(reader, node, TRAIN.key("optimizer"), OPTIMIZERS);
    optimizers::read(reader, choice, settings)
}

/// By value first, as the norm is that of what is left.
fn clip(reader: &mut Reader<'_>, node: &Node) -> Vec<Clip> {
    let fields = Fields::read(reader, Some(node), &CLIP);
    let bound = |reader: &mut Reader<'_>, key: &str| fields.get(key).map(|_| fields.number(reader, key));
    let value = bound(reader, "value").map(Clip::Value);
    let clips: Vec<Clip> = value.into_iter().chain(bound(reader, "norm").map(Clip::Norm)).collect();
    if clips.is_empty() {
        let fault = Diagnostic::error("`clip` has no bound", node.span, "neither `norm` nor `value`");
        reader.fault(fault.help("write `clip: {norm: 1}`, or take it out"));
    }
    clips
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
