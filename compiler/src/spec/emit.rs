//! The resolved spec as YAML, which loads again to an equal spec.

use std::fmt::{self, Write};

use serde_json::json;

use super::language::print::Layers;
use super::language::tree::Unit;
use super::resolved::ResolvedSpec;
use super::sections::init::InitSpec;
use super::sections::preprocess::{Fit, Preprocess};
use super::sections::shortcut::{self, Rule};
use super::sections::stages::{StageSpec, UnitSpec};
use super::sections::sweep::Sweep;
use super::sections::train::{Augment, Keep, Mix, Reading, TrainConfig};
use super::sections::units::STAGE_GIVEN;
use super::size;
use super::used::Used;
use crate::datasets;
use crate::ir::clip::Clip;
use crate::ir::groups::{GroupRule, Groups};
use crate::ir::op::{ConvInit, Fan, Init, Norm};

impl ResolvedSpec {
    /// The whole spec, defaults written out where they have an effect; built-in units by name.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("a string takes all that is written");
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let [c, h, w] = self.input.value;
        writeln!(out, "name: {}", quoted(&self.name.value))?;
        writeln!(out, "input: [{c}, {h}, {w}]\nclasses: {}", self.classes.value)?;
        writeln!(out, "stem: {}", Layers(&self.stem))?;
        let used = Used::of(self);
        if used.plain_norm {
            writeln!(out, "norm: {}", norm(self.norm))?;
        }
        if used.shortcut {
            self.write_shortcut(out)?;
        }
        writeln!(out, "stages:")?;
        for stage in &self.stages {
            write_stage(out, stage)?;
        }
        if !self.transition.is_empty() {
            writeln!(out, "transition: {}", Layers(&self.transition))?;
        }
        match &self.head.layers {
            Some(layers) => writeln!(out, "head: {}", Layers(layers))?,
            None => writeln!(out, "head: none")?,
        }
        if !self.outputs.is_empty() {
            let outputs: Vec<String> = self.outputs.iter().map(|o| format!("stage{}", o.value)).collect();
            writeln!(out, "outputs: [{}]", outputs.join(", "))?;
        }
        self.write_units(out)?;
        self.write_init(out, &used)?;
        self.write_expect(out)?;
        write_preprocess(out, &self.preprocess)?;
        write_train(out, &self.train)?;
        self.sweep.as_ref().map_or(Ok(()), |sweep| write_sweep(out, sweep))
    }

    fn write_shortcut(&self, out: &mut String) -> fmt::Result {
        if let Some(name) = self.shortcut.name() {
            return writeln!(out, "shortcut: {name}");
        }
        writeln!(out, "shortcut:")?;
        for (key, rule) in [("same", &self.shortcut.same), ("changed", &self.shortcut.changed)] {
            match rule {
                Rule::Named(rule) => writeln!(out, "  {key}: {}", shortcut::name(*rule))?,
                Rule::Layers(calls) => writeln!(out, "  {key}: {}", Layers(calls))?,
            }
        }
        Ok(())
    }

    fn write_units(&self, out: &mut String) -> fmt::Result {
        let mut units: Vec<&Unit> = Vec::new();
        for used in self.stages.iter().flat_map(|stage| &stage.units).filter(|used| !used.unit.builtin) {
            if !units.iter().any(|u| u.name.text == used.unit.name.text) {
                units.push(&used.unit);
            }
        }
        if !units.is_empty() {
            writeln!(out, "units:")?;
        }
        for unit in units {
            let params: Vec<String> = unit
                .params
                .iter()
                .map(|p| match &p.default {
                    Some(default) => format!("{}={default}", p.name.text),
                    None => p.name.text.clone(),
                })
                .collect();
            writeln!(out, "  \"{}({})\": |", unit.name.text, params.join(", "))?;
            for binding in &unit.bindings {
                writeln!(out, "    {} = {}", binding.name.text, binding.value)?;
            }
        }
        Ok(())
    }

    fn write_init(&self, out: &mut String, used: &Used) -> fmt::Result {
        let InitSpec { conv, linear, zero_last_bn } = self.init;
        let parts = [
            used.conv.then(|| format!("conv: {}", distribution(conv))),
            used.linear.then(|| format!("linear: {}", distribution(linear))),
            Some(format!("zero_last_bn: {zero_last_bn}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        writeln!(out, "init: {{{}}}", parts.join(", "))
    }

    fn write_expect(&self, out: &mut String) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.expect.params.as_ref().map(|v| format!("params: {}", v.value)));
        parts.extend(self.expect.macs.as_ref().map(|v| format!("macs: {}", v.value)));
        parts.extend(self.expect.ms.as_ref().map(|v| format!("ms: \"{}\"", v.value)));
        parts.extend(self.expect.output.as_ref().map(|v| format!("output: {:?}", v.value)));
        writeln!(out, "expect: {{{}}}", parts.join(", "))
    }
}

/// A stage as one group of like units, or as a list of groups.
fn write_stage(out: &mut String, stage: &StageSpec) -> fmt::Result {
    let groups: Vec<String> = stage.units.chunk_by(joins).map(group).collect();
    match groups.as_slice() {
        [group] => writeln!(out, "  - {group}"),
        groups => {
            writeln!(out, "  -")?;
            groups.iter().try_for_each(|group| writeln!(out, "    - {group}"))
        }
    }
}

/// Whether a unit may stand in one group behind another: the same but for the first one's stride.
fn joins(before: &UnitSpec, next: &UnitSpec) -> bool {
    let like = |a: &(String, f64), b: &(String, f64)| a == b || (a.0 == "stride" && b.1 == 1.0);
    before.unit.name.text == next.unit.name.text
        && before.args.len() == next.args.len()
        && before.args.iter().zip(&next.args).all(|(a, b)| like(a, b))
}

/// `{depth: 2, filters: 64, stride: 2, unit: "bottleneck(groups=1)"}`
fn group(units: &[UnitSpec]) -> String {
    let first = &units[0];
    let mut text = format!("{{depth: {}", units.len());
    for (key, name) in STAGE_GIVEN {
        if let Some(value) = first.arg(name) {
            text += &format!(", {key}: {value}");
        }
    }
    let own = first.args.iter().filter(|(name, _)| !STAGE_GIVEN.iter().any(|(_, given)| given == name));
    let args: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
    text + &format!(", unit: \"{}{args}\"}}", first.unit.name.text)
}

fn write_preprocess(out: &mut String, preprocess: &Preprocess) -> fmt::Result {
    let Preprocess { fit, interpolation, normalize } = preprocess;
    let fit = match fit {
        Fit::Center { resize } => format!("resize: {resize}, crop: center"),
        Fit::Squash => "crop: squash".to_owned(),
    };
    let (word, mean, std) = (interpolation.word(), &normalize.mean, &normalize.std);
    writeln!(out, "preprocess: {{{fit}, interpolation: {word}, mean: {mean:?}, std: {std:?}}}")
}

fn write_train(out: &mut String, train: &TrainConfig) -> fmt::Result {
    writeln!(out, "train:")?;
    if let Some(dataset) = &train.dataset {
        match datasets::is_path(dataset) {
            true => {
                let Reading { split, fail } = train.reading;
                let on_error = if fail { "fail" } else { "skip" };
                writeln!(out, "  dataset: {}\n  split: {split}\n  on_error: {on_error}", json!(dataset))?;
            }
            false => writeln!(out, "  dataset: {dataset}")?,
        }
    }
    match train.auto_batch {
        true => writeln!(out, "  epochs: {}\n  batch_size: auto", train.epochs)?,
        false => writeln!(out, "  epochs: {}\n  batch_size: {}", train.epochs, train.batch_size)?,
    }
    if train.accumulate > 1 {
        writeln!(out, "  accumulate: {}", train.accumulate)?;
    }
    let constants = train.optimizer.settings().map(|(setting, value)| format!("{}: {value}", setting.name));
    let constants = constants.collect::<Vec<_>>().join(", ");
    writeln!(
        out,
        "  optimizer: {{{}: {{lr: {}, {constants}, decay_norm: {}}}}}",
        train.optimizer.name(),
        train.lr,
        train.decay_norm
    )?;
    write_groups(out, &train.groups)?;
    if !train.clip.is_empty() {
        let clips: Vec<String> = train.clip.iter().map(Clip::to_string).collect();
        writeln!(out, "  clip: {{{}}}", clips.join(", "))?;
    }
    if let Some(ema) = &train.ema {
        writeln!(out, "  ema: {ema}")?;
    }
    if let Some(swa) = &train.swa {
        writeln!(out, "  swa: {swa}")?;
    }
    writeln!(out, "  schedule: {}", train.schedule)?;
    if let Some(w) = &train.warmup {
        writeln!(out, "  warmup: {{length: {}, by: {}, from: {}}}", w.length, w.by.word(), w.from)?;
    }
    if let Some(early) = &train.early_stopping {
        writeln!(out, "  early_stopping: {early}")?;
    }
    writeln!(out, "  label_smoothing: {}", train.label_smoothing)?;
    if !train.loss.is_default() {
        writeln!(out, "  loss: {}", train.loss)?;
    }
    if !train.class_weights.is_empty() {
        writeln!(out, "  class_weights: {:?}", train.class_weights)?;
    }
    writeln!(out, "  normalize: {{mean: {:?}, std: {:?}}}", train.normalize.mean, train.normalize.std)?;
    let steps: Vec<String> = train.augment.iter().map(augment).collect();
    writeln!(out, "  augment: [{}]", steps.join(", "))?;
    if train.repeats > 1 {
        writeln!(out, "  repeats: {}", train.repeats)?;
    }
    if let Some(resizing) = &train.progressive_resizing {
        writeln!(out, "  progressive_resizing: {resizing}")?;
    }
    if !train.tta.is_none() {
        writeln!(out, "  tta: {}", train.tta)?;
    }
    if let Some(distill) = &train.distill {
        writeln!(out, "  distill: {distill}")?;
    }
    if let Some(Mix { mixup, cutmix, probability, switch, epochs }) = train.mix {
        let epochs = epochs.map_or(String::new(), |epochs| format!(", epochs: {epochs}"));
        write!(out, "  mix: {{mixup: {mixup}, cutmix: {cutmix}, probability: {probability}, ")?;
        writeln!(out, "switch: {switch}{epochs}}}")?;
    }
    writeln!(
        out,
        "  evaluate_every: {}\n  checkpoint_every: {}",
        train.evaluate_every, train.checkpoint_every
    )?;
    let Keep { best, last, every } = train.keep;
    let every = every.map_or(String::new(), |every| format!(", every: {every}"));
    writeln!(out, "  keep: {{best: {best}, last: {last}{every}}}")?;
    writeln!(out, "  seed: {}\n  precision: {}", train.seed, train.precision_word())?;
    if let Some(scale) = train.scale() {
        writeln!(out, "  loss_scale: {scale}")?;
    }
    if let Some(limit) = train.memory_limit {
        writeln!(out, "  memory_limit: {}", size::text(limit))?;
    }
    if !train.parallel.is_default() {
        writeln!(out, "  parallel: {}", train.parallel)?;
    }
    if train.rounds_to_tf32() {
        writeln!(out, "  tf32: true")?;
    }
    if train.deterministic { Ok(()) } else { writeln!(out, "  deterministic: false") }
}

fn write_groups(out: &mut String, groups: &Groups) -> fmt::Result {
    let number =
        |key: &str, value: Option<f32>| value.map_or(String::new(), |value| format!(", {key}: {value}"));
    let rules = groups.rules.iter().map(|GroupRule { pattern, lr_scale, weight_decay }| {
        let settings = number("lr_scale", *lr_scale) + &number("weight_decay", *weight_decay);
        format!("{{match: {pattern:?}{settings}}}")
    });
    let rules: Vec<String> = rules.collect();
    if !rules.is_empty() {
        writeln!(out, "  groups: [{}]", rules.join(", "))?;
    }
    if let Some(decay) = groups.layer_decay {
        writeln!(out, "  layer_decay: {decay}")?;
    }
    if !groups.freeze.is_empty() {
        writeln!(out, "  freeze: {:?}", groups.freeze)?;
    }
    if let Some(rate) = groups.backbone_lr {
        writeln!(out, "  finetune: {{backbone_lr: {rate}}}")?;
    }
    Ok(())
}

fn norm(norm: Norm) -> String {
    match norm {
        Norm::Batch { eps, momentum } => format!("bn(eps={eps}, momentum={momentum})"),
        Norm::Group { groups, eps } => format!("group_norm(groups={groups}, eps={eps})"),
    }
}

fn augment(step: &Augment) -> String {
    match step {
        Augment::RandomResizedCrop { scale, ratio } => {
            format!("{{random_resized_crop: {{scale: {scale:?}, ratio: {ratio:?}}}}}")
        }
        Augment::Crop { padding } => format!("{{crop: {{padding: {padding}}}}}"),
        Augment::Flip { probability } => format!("{{flip: {{probability: {probability}}}}}"),
        Augment::FlipVertical { probability } => {
            format!("{{flip: {{probability: {probability}, direction: vertical}}}}")
        }
        Augment::CropReflect { padding } => {
            format!("{{crop: {{padding: {padding}, padding_mode: reflect}}}}")
        }
        Augment::FlipAlternating { probability } => {
            format!("{{flip: {{probability: {probability}, alternating: true}}}}")
        }
        Augment::RandomErasing { probability, scale, ratio } => {
            format!("{{random_erasing: {{probability: {probability}, scale: {scale:?}, ratio: {ratio:?}}}}}")
        }
        Augment::ColorJitter { brightness, contrast, saturation, hue } => format!(
            "{{color_jitter: {{brightness: {brightness}, contrast: {contrast}, saturation: {saturation}, hue: {hue}}}}}"
        ),
        Augment::RandAugment { operations, magnitude } => {
            format!("{{rand_augment: {{operations: {operations}, magnitude: {magnitude}}}}}")
        }
        Augment::TrivialAugment => "trivial_augment".to_owned(),
        Augment::AugMix { severity, width, depth, alpha } => {
            let depth = depth.map_or(String::new(), |depth| format!("depth: {depth}, "));
            format!("{{aug_mix: {{severity: {severity}, width: {width}, {depth}alpha: {alpha}}}}}")
        }
        Augment::Cutout { size } => format!("{{cutout: {{size: {size}}}}}"),
    }
}

fn distribution(init: ConvInit) -> String {
    let name = |fan| match fan {
        Fan::FanIn => "fan_in",
        Fan::FanOut => "fan_out",
    };
    match init {
        ConvInit::HeNormal { fan } => format!("he_normal({})", name(fan)),
        ConvInit::HeUniform { fan } => format!("he_uniform({})", name(fan)),
        ConvInit::XavierNormal => "xavier_normal".into(),
        ConvInit::XavierUniform => "xavier_uniform".into(),
        ConvInit::UniformFan { fan, gain } => format!("uniform({gain} / sqrt({}))", name(fan)),
        ConvInit::Fixed(Init::Constant(value)) => format!("constant({value})"),
        ConvInit::Fixed(Init::Normal { std }) => format!("normal({std})"),
        ConvInit::Fixed(Init::TruncatedNormal { std }) => format!("truncated_normal({std})"),
        ConvInit::Fixed(Init::Uniform { bound }) => format!("uniform({bound})"),
    }
}

/// A name that YAML would read as a number stays a text.
fn write_sweep(out: &mut String, sweep: &Sweep) -> fmt::Result {
    writeln!(out, "sweep:\n  over:")?;
    for axis in &sweep.over {
        writeln!(out, "    {}: [{}]", json!(axis.key), axis.values.join(", "))?;
    }
    for (key, value) in [("halving", sweep.halving), ("min_epochs", sweep.min_epochs)] {
        if let Some(value) = value {
            writeln!(out, "  {key}: {value}")?;
        }
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
