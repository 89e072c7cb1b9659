//! The keys of the `train:` section: what may be written, and what holds where nothing is.

use super::augment::AUGMENTATIONS;
use super::average::{EMA, SWA};
use super::distill::DISTILL;
use super::loss::{CLASS_WEIGHTS, LOSSES, MIX};
use super::optimizers::OPTIMIZERS;
use super::parallel::PARALLEL;
use super::resizing::RESIZING;
use super::schedule::keys::{EARLY_STOPPING, SCHEDULES, WARMUP};
use super::tta::{self, TTA};
use crate::datasets;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of the section.
pub const TRAIN: Section = Section {
    what: "`train`",
    keys: &[
        Key::new(
            "dataset",
            Shape::Any(&[Shape::Word(&datasets::NAMES), Shape::Path]),
            "The data set to train on where the command line names none: a name, or the path of pictures, which has a slash in it.",
        )
        .default_is("none: training then takes the embedded one"),
        Key::new(
            "split",
            Shape::Number(0.001, 0.9),
            "Share of the pictures that are kept for evaluation where a path has no folders for it.",
        )
        .default("0.2"),
        Key::new(
            "on_error",
            Shape::Word(&["skip", "fail"]),
            "What becomes of a picture that cannot be read: `skip` takes the next one of its class in its place.",
        )
        .default("skip"),
        Key::new("epochs", Shape::Count(1, MOST), "Passes over the training set.").default("10"),
        Key::new(
            "batch_size",
            Shape::Any(&[Shape::Word(&[AUTO]), Shape::Count(BATCHES[0], BATCHES[1])]),
            "Images of one step. `auto` takes as many as the free memory has room for; commands that have no data take 128 then.",
        )
        .default("128"),
        Key::new(
            "accumulate",
            Shape::Count(1, BATCHES[1]),
            "Batches whose gradients make one update: the optimizer sees the mean over all of their images.",
        )
        .default("1"),
        Key::new("optimizer", Shape::Choice(OPTIMIZERS), "How a step changes the parameters.").default("sgd"),
        Key::new(
            "groups",
            Shape::List(&Shape::Section(&GROUP), 0, None),
            "Parameters with another learning rate or weight decay; of several that match, the last one holds.",
        )
        .default("[]"),
        Key::new(
            "layer_decay",
            Shape::Number(1e-3, 1.0),
            "Factor of the learning rate from each layer to the one before it; a unit counts as one layer.",
        )
        .default_is("none"),
        Key::new(
            "freeze",
            Shape::List(&Shape::Text, 0, None),
            "Parts that are not trained, as `match` names them: their backward pass is not even compiled.",
        )
        .default("[]"),
        Key::new(
            "finetune",
            Shape::Any(&[Shape::Word(&[HEAD]), Shape::Section(&FINETUNE)]),
            "`head` trains the last linear layer alone; `{backbone_lr: 0.1}` trains the rest slower.",
        )
        .default_is("all is trained"),
        Key::new("clip", Shape::Section(&CLIP), "Bounds of the gradients, before the optimizer sees them.")
            .default_is("none"),
        Key::new("ema", Shape::Section(&EMA), "A moving average of the weights, which is kept and evaluated beside them.")
            .default_is("none"),
        Key::new("swa", Shape::Section(&SWA), "The mean of the weights over the last epochs, with batch statistics of its own.")
            .default_is("none"),
        Key::new("schedule", Shape::Choice(SCHEDULES), "How the learning rate changes over the training.")
            .default("cosine"),
        Key::new("warmup", Shape::Section(&WARMUP), "Linear rise of the learning rate before the schedule.")
            .default_is("none"),
        Key::new(
            "early_stopping",
            Shape::Section(&EARLY_STOPPING),
            "When the training ends before its last epoch: when evaluations get no better.",
        )
        .default_is("it never does"),
        Key::new(
            "label_smoothing",
            Shape::Number(0.0, 0.999),
            "Share of the target that all classes have in equal parts.",
        )
        .default("0"),
        Key::new("loss", Shape::Choice(LOSSES), "What is minimised.").default("cross_entropy"),
        CLASS_WEIGHTS,
        Key::new(
            "normalize",
            Shape::Section(&NORMALIZE),
            "Mean and standard deviation that pixels, scaled to 0..1, are normalised with.",
        )
        .default_is("the data set's statistics; of a path ImageNet's; 0.5 and 0.5 where none are known"),
        Key::new(
            "augment",
            Shape::List(&Shape::Steps(AUGMENTATIONS), 0, None),
            "Random changes of training images, in their order.",
        )
        .default_is("none; of a path `[random_resized_crop, flip]`, or `[crop, flip]` where a side of `input` is shorter than 64"),
        Key::new(
            "repeats",
            Shape::Count(1, 64),
            "How often a picture stands in an epoch, changed otherwise each time. The epoch keeps its length, and has other pictures each time.",
        )
        .default("1"),
        Key::new(
            "progressive_resizing",
            Shape::Section(&RESIZING),
            "Smaller images in the first epochs, which take less time; the last ones have the size of `input`.",
        )
        .default_is("all epochs have images of the size of `input`"),
        Key::new(
            "distill",
            Shape::Section(&DISTILL),
            "Another, trained network that is learned from, beside the labels (Hinton et al. 2015).",
        )
        .default_is("none"),
        Key::new("mix", Shape::Section(&MIX), "Mixtures of two images with their labels, as timm's `Mixup`.")
            .default_is("none"),
        Key::new(
            "tta",
            Shape::Any(&[Shape::Word(tta::WORDS), Shape::Section(&TTA)]),
            "Test-time augmentation: evaluation and `--predict` take the mean answer to several views of a picture.",
        )
        .default("none"),
        Key::new(
            "evaluate_every",
            Shape::Count(1, MOST),
            "Epochs between two evaluations; the last epoch is always evaluated.",
        )
        .default("1"),
        Key::new(
            "checkpoint_every",
            Shape::Count(1, MOST),
            "Epochs between two checkpoints; the last epoch always leaves one.",
        )
        .default("1"),
        Key::new("keep", Shape::Section(&KEEP), "Which checkpoints stay besides the last one.")
            .default_is("the best one"),
        Key::new(
            "seed",
            Shape::Count(0, u64::MAX),
            "Seed of initial values, of the order of images and of all that is random in training.",
        )
        .default("0"),
        Key::new(
            "precision",
            Shape::Word(&["f32", "bf16", "fp16"]),
            "Element type of feature maps, and of what convolutions multiply. `fp16` needs a GPU.",
        )
        .default("f32"),
        Key::new(
            "loss_scale",
            Shape::Any(&[Shape::Word(&[DYNAMIC]), Shape::Number(SCALES[0], SCALES[1])]),
            "Factor of the loss with `precision: fp16`, which keeps small gradients from becoming zero.",
        )
        .default(DYNAMIC),
        Key::new(
            "memory_limit",
            Shape::Bytes,
            "Most memory of a training step. Where its plan takes more, the backward pass computes feature maps again.",
        )
        .default_is("none"),
        Key::new(
            "parallel",
            Shape::Section(&PARALLEL),
            "How several processes share the training, where several are started; `batch_size` is each one's own.",
        )
        .default_is("each normalises by its own images and has the whole state of the optimizer, the rate stays, gradients are sent as `f32`"),
        Key::new(
            "tf32",
            Shape::Flag,
            "Whether GPUs may round what convolutions and linear layers multiply in `f32` to TF32.",
        )
        .default("false"),
        Key::new(
            "deterministic",
            Shape::Flag,
            "Whether GPUs compute convolutions only in ways that give the same bits each time; checkpoints then pin these ways. CPUs always do.",
        )
        .default("true"),
    ],
};

/// The batch size that follows the memory.
pub const AUTO: &str = "auto";

/// The least and the most of one that does not.
pub const BATCHES: [u64; 2] = [1, 1 << 16];

/// Keys of a clipping.
pub const CLIP: Section = Section {
    what: "`clip`",
    keys: &[
        Key::new("norm", Shape::Number(1e-6, 1e6), "Longest gradient, by the norm over all parameters.")
            .default_is("none"),
        Key::new(
            "value",
            Shape::Number(1e-6, 1e6),
            "Largest element of a gradient; clipped before the norm.",
        )
        .default_is("none"),
    ],
};

/// Keys of a group of parameters.
pub const GROUP: Section = Section {
    what: "a group",
    keys: &[
        Key::required(
            "match",
            Shape::Text,
            "\"norm|bias\"",
            "What is in it: `norm`, `bias`, `head`, or a name with `*` for anything, as `stage1` or `*.conv1.weight`; several with a bar between them.",
        ),
        Key::new("lr_scale", Shape::Number(1e-6, 1e3), "Factor of the learning rate.").default("1"),
        Key::new("weight_decay", Shape::Number(0.0, 1e3), "Weight decay.").default_is("the optimizer's"),
    ],
};

/// Keys of a fine-tuning.
pub const FINETUNE: Section = Section {
    what: "`finetune`",
    keys: &[Key::required(
        "backbone_lr",
        Shape::Number(0.0, 1.0),
        "0.1",
        "Factor of the learning rate of all but the last linear layer; at 0 they are not trained.",
    )],
};

/// The part that `finetune` names.
pub const HEAD: &str = "head";

/// The loss scale that follows the gradients.
pub const DYNAMIC: &str = "dynamic";

/// The least and the most of one that never changes.
pub const SCALES: [f64; 2] = [1.0, 1e9];

/// Keys of what is kept.
pub const KEEP: Section = Section {
    what: "`keep`",
    keys: &[
        Key::new("best", Shape::Flag, "Whether the checkpoint of the best evaluation stays.").default("true"),
        Key::new(
            "last",
            Shape::Count(0, MOST),
            "How many of the last epochs that left a checkpoint keep it in a file of their own.",
        )
        .default("0"),
        Key::new("every", Shape::Count(1, MOST), "Epochs between two whose checkpoints stay for good.")
            .default_is("none stays"),
    ],
};

/// Keys of a normalisation of pixels.
pub const NORMALIZE: Section = Section {
    what: "`normalize`",
    keys: &[
        Key::required(
            "mean",
            Shape::List(&Shape::Number(-1e3, 1e3), 1, None),
            "[0.5, 0.5, 0.5]",
            "Mean of each channel.",
        ),
        Key::required(
            "std",
            Shape::List(&Shape::Number(1e-6, 1e3), 1, None),
            "[0.5, 0.5, 0.5]",
            "Standard deviation of each channel, positive.",
        ),
    ],
};

/// Most epochs, images in a batch.
const MOST: u64 = 1 << 24;
