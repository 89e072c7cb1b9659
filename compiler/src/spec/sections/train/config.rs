//! The resolved `train:` section: everything the training loop needs, all defaults applied.

use serde::{Deserialize, Serialize};

use super::average::{Ema, Swa};
use super::distill::Distill;
use super::parallel::Parallel;
use super::patience::EarlyStopping;
use super::resizing::Resizing;
use super::schedule::{Schedule, Warmup};
use super::tta::Tta;
use crate::ir::clip::Clip;
use crate::ir::groups::Groups;
use crate::ir::loss_scale::LossScale;
use crate::ir::objective::{LossAttrs, Objective};
use crate::ir::op::UpdateRule;
use crate::ir::types::DType;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Data set to train on where the command line names none: one of [`crate::datasets::DATASETS`], or a path
    /// ([`crate::datasets::is_path`]), relative to the working directory.
    pub dataset: Option<String>,
    /// How a path is read.
    #[serde(default, skip_serializing_if = "Reading::is_default")]
    pub reading: Reading,
    /// Passes over the training set.
    pub epochs: usize,
    /// Images per step; the last, partial batch is kept.
    pub batch_size: usize,
    /// Batches whose gradients make one update; the last update of an epoch has those that are left.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Whether a training has to choose [`TrainConfig::batch_size`], by the memory that it finds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_batch: bool,
    /// Learning rate before the schedule.
    pub lr: f32,
    /// The optimizer and its constants.
    #[serde(flatten)]
    pub optimizer: UpdateRule,
    /// Whether weight decay applies to batch normalisation's parameters and biases too (PyTorch's default: yes).
    pub decay_norm: bool,
    /// Parameters that are trained otherwise, or not at all.
    #[serde(default, skip_serializing_if = "Groups::is_none")]
    pub groups: Groups,
    /// Clipping of gradients, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clip: Vec<Clip>,
    /// Factor of the learning rate over time.
    pub schedule: Schedule,
    /// The moving average of the weights that is kept beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// The mean of the weights over the last epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swa: Option<Swa>,
    /// Linear warm-up before the schedule.
    pub warmup: Option<Warmup>,
    /// When the training ends before its last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Label smoothing of the loss, `0..1`.
    pub label_smoothing: f32,
    /// What is minimised.
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub loss: Objective,
    /// Factor of each class in the loss; empty where all count alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
    /// Which network is learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<Distill>,
    /// How the images of a batch are mixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// Normalisation of the pixels (from `0..1`).
    pub normalize: Normalize,
    /// Random changes of training images, in order.
    pub augment: Vec<Augment>,
    /// How often a picture stands in an epoch that it stands in at all, changed otherwise each time (Hoffer et al. 2020).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub repeats: usize,
    /// How images grow over the training; `None` where they have the network's size from the first epoch on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressive_resizing: Option<Resizing>,
    /// The views of a picture whose mean answer counts, in evaluation and prediction (test-time augmentation).
    #[serde(default, skip_serializing_if = "Tta::is_none")]
    pub tta: Tta,
    /// Evaluate every that many epochs (and after the last).
    pub evaluate_every: usize,
    /// Checkpoint every that many epochs (and after the last).
    pub checkpoint_every: usize,
    /// Which checkpoints stay besides the last one.
    #[serde(default)]
    pub keep: Keep,
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Element type of feature maps and of the convolutions' arithmetic; master weights stay `f32`.
    pub precision: DType,
    /// Factor of the loss; see [`TrainConfig::scale`].
    #[serde(default, skip_serializing_if = "LossScale::is_default")]
    pub loss_scale: LossScale,
    /// Most bytes of a training step's plan; see [`Recompute`](crate::ir::recompute::Recompute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// How several processes share it.
    #[serde(default, skip_serializing_if = "Parallel::is_default")]
    pub parallel: Parallel,
    /// Whether devices that have TF32 may round the factors of what multiplies in `f32` to it; see
    /// [`TrainConfig::rounds_to_tf32`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tf32: bool,
    /// Whether only kernels that give the same bits each time are taken, the same ones in a training that goes on.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub deterministic: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

impl TrainConfig {
    /// Updates of an epoch of so many images: the steps that schedules count.
    pub fn updates(&self, images: usize) -> usize {
        images.div_ceil(self.batch_size.max(1)).div_ceil(self.accumulate.max(1))
    }

    /// `[height, width]` of the images of an epoch, counted from 0, where the network takes images of `full`.
    pub fn size_in(&self, epoch: usize, full: [usize; 2]) -> [usize; 2] {
        self.progressive_resizing.map_or(full, |resizing| resizing.size(full, epoch, self.epochs))
    }

    /// Each `[height, width]` that images have in some epoch, in the order of the epochs; the last one is `full`.
    pub fn sizes(&self, full: [usize; 2]) -> Vec<[usize; 2]> {
        if self.progressive_resizing.is_none() {
            return vec![full];
        }
        let mut sizes: Vec<[usize; 2]> = (0..self.epochs).map(|epoch| self.size_in(epoch, full)).collect();
        sizes.dedup();
        sizes
    }

    /// Whether an average of the weights is kept beside them.
    pub fn averages(&self) -> bool {
        self.ema.is_some() || self.swa.is_some()
    }

    /// The precision as specs spell it.
    pub fn precision_word(&self) -> &'static str {
        match self.precision {
            DType::Bf16 => "bf16",
            DType::F16 => "fp16",
            DType::F32 | DType::U8 | DType::U32 | DType::U64 => "f32",
        }
    }

    /// The loss where it is more than a cross-entropy of labels that all count alike.
    pub fn target_loss(&self) -> Option<LossAttrs> {
        let attrs = LossAttrs {
            objective: self.loss,
            smoothing: self.label_smoothing,
            class_weights: self.class_weights.clone(),
            mixed: self.mix.is_some(),
            distillation: self.distill.as_ref().map(|distill| distill.loss),
        };
        let plain = attrs.objective.is_default()
            && attrs.class_weights.is_empty()
            && !attrs.mixed
            && attrs.distillation.is_none();
        (!plain).then_some(attrs)
    }

    /// What keeps devices from making training images themselves, as specs call it.
    pub fn images_on_host(&self) -> Option<&'static str> {
        let distill = self.distill.as_ref().map(|_| "distill");
        let mix = self.mix.map(|_| "mix");
        distill.or(mix).or_else(|| self.augment.iter().any(Augment::on_host).then_some("augment"))
    }

    /// The factor of the loss where there is one: `f32` and bf16 have the range that gradients need.
    pub fn scale(&self) -> Option<LossScale> {
        (self.precision == DType::F16).then_some(self.loss_scale)
    }

    /// Whether factors may be rounded to TF32: those of narrow types have fewer bits already.
    pub fn rounds_to_tf32(&self) -> bool {
        self.tf32 && self.precision == DType::F32
    }
}

/// How the pictures of a path are read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Share of the pictures of each class that is kept for evaluation, where the path has no folders for it.
    pub split: f32,
    /// Whether a picture that cannot be read ends the training; otherwise the next one of its class takes its place.
    pub fail: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { split: 0.2, fail: false }
    }
}

impl Reading {
    fn is_default(&self) -> bool {
        *self == Reading::default()
    }
}

/// Which checkpoints stay besides the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The one of the best evaluation.
    pub best: bool,
    /// Those of that many last epochs that left one, each in a file of its own.
    pub last: usize,
    /// Those of every that many epochs.
    pub every: Option<usize>,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { best: true, last: 0, every: None }
    }
}

/// `(pixel / 255 - mean) / std` per channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// One per channel.
    pub mean: Vec<f32>,
    /// One per channel, positive.
    pub std: Vec<f32>,
}

impl Normalize {
    /// Every byte normalised, `[channel][byte]`; `None` where there are not so many means and deviations as channels.
    pub fn table(&self, channels: usize) -> Option<Vec<[f32; 256]>> {
        let of = |(mean, std): (&f32, &f32)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        let complete = [self.mean.len(), self.std.len()] == [channels; 2];
        complete.then(|| self.mean.iter().zip(&self.std).map(of).collect())
    }
}

impl Augment {
    /// Whether it changes colours, or moves pixels between others: only the CPU does that.
    pub fn on_host(&self) -> bool {
        match self {
            Augment::ColorJitter { .. }
            | Augment::RandAugment { .. }
            | Augment::TrivialAugment
            | Augment::AugMix { .. } => true,
            Augment::Crop { .. }
            | Augment::CropReflect { .. }
            | Augment::Flip { .. }
            | Augment::FlipVertical { .. }
            | Augment::FlipAlternating { .. }
            | Augment::RandomErasing { .. }
            | Augment::RandomResizedCrop { .. }
            | Augment::Cutout { .. } => false,
        }
    }
}

/// How the images of a batch are mixed, each with the one that stands as far from the batch's end as it stands from its beginning, all by
/// one share: timm's `Mixup` in its mode `batch`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// The alpha of mixup; 0 for none.
    pub mixup: f32,
    /// The alpha of cutmix; 0 for none.
    pub cutmix: f32,
    /// Share of the batches that are mixed.
    pub probability: f32,
    /// Of these, the share that cutmix has where there are both.
    pub switch: f32,
    /// Epochs that are mixed, the first ones; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
}

/// A random change of a training image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// A random part of the picture, resized to the image's size: torchvision's `RandomResizedCrop` with antialiased bilinear
    /// interpolation (Szegedy et al. 2015). The first of all changes.
    RandomResizedCrop {
        /// Least and most area, as a share of the picture's.
        scale: [f32; 2],
        /// Least and most ratio of width to height.
        ratio: [f32; 2],
    },
    /// A window of the image's size out of the image with that many zero (after normalisation) pixels around it.
    Crop {
        /// Pixels on each side.
        padding: usize,
    },
    /// Mirrored left to right.
    Flip {
        /// How often.
        probability: f32,
    },
    /// Mirrored top to bottom: torchvision's `RandomVerticalFlip`.
    FlipVertical {
        /// How often.
        probability: f32,
    },
    /// The same out of the image with its own pixels around it, mirrored at the border: torchvision's `RandomCrop` with
    /// `padding_mode="reflect"`.
    CropReflect {
        /// Pixels on each side.
        padding: usize,
    },
    /// Mirrored in every other epoch, from the first one on for a random part of the images (Jordan 2024).
    FlipAlternating {
        /// Share of the images that are mirrored in the first epoch.
        probability: f32,
    },
    /// A rectangle of zeros (after normalisation): torchvision's `RandomErasing`.
    RandomErasing {
        /// How often.
        probability: f32,
        /// Least and largest share of the image.
        scale: [f32; 2],
        /// Least and largest height over width.
        ratio: [f32; 2],
    },
    /// Brightness, contrast, saturation and hue in random order: torchvision's `ColorJitter`. Factors are from `1 - x` to `1 + x`.
    ColorJitter {
        /// Of brightness.
        brightness: f32,
        /// Of contrast.
        contrast: f32,
        /// Of saturation.
        saturation: f32,
        /// The largest turn of the hue, in circles.
        hue: f32,
    },
    /// Operations of one magnitude: torchvision's `RandAugment`.
    RandAugment {
        /// How many.
        operations: usize,
        /// Of 0 to 30.
        magnitude: usize,
    },
    /// One operation of any magnitude: torchvision's `TrivialAugmentWide`.
    TrivialAugment,
    /// Mixtures of chains of operations: torchvision's `AugMix`.
    AugMix {
        /// Magnitudes are below it, of 10.
        severity: usize,
        /// Chains.
        width: usize,
        /// Operations of a chain; from one to three where nothing is said.
        depth: Option<usize>,
        /// Of the distributions of shares.
        alpha: f32,
    },
    /// A square of zeros (after normalisation) at a random centre, cut at the border (DeVries and Taylor 2017).
    Cutout {
        /// Length of a side.
        size: usize,
    },
}
