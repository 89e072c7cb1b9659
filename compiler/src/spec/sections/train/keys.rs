//! The keys of the `train:` section: what may be written, and what holds where nothing is.

use super::augment::AUGMENTATIONS;
use super::loss::{CLASS_WEIGHTS, LOSSES, MIX};
use super::schedule::keys::{EARLY_STOPPING, SCHEDULES, WARMUP};
use crate::datasets;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

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
        Key::new("optimizer", Shape::Choice(OPTIMIZERS), "How a step changes the parameters.").default("sgd"),
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
        Key::new("mix", Shape::Section(&MIX), "Mixtures of two images with their labels, as timm's `Mixup`.")
            .default_is("none"),
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
            "tf32",
            Shape::Flag,
            "Whether GPUs may round what convolutions and linear layers multiply in `f32` to TF32.",
        )
        .default("false"),
    ],
};

/// The batch size that follows the memory.
pub const AUTO: &str = "auto";

/// The least and the most of one that does not.
pub const BATCHES: [u64; 2] = [1, 1 << 16];

/// The loss scale that follows the gradients.
pub const DYNAMIC: &str = "dynamic";

/// The least and the most of one that never changes.
pub const SCALES: [f64; 2] = [1.0, 1e9];

/// Optimizers by name.
pub const OPTIMIZERS: &[Choice] = &[
    Choice {
        name: "sgd",
        about: "Stochastic gradient descent with momentum, as PyTorch's `SGD`. Momentum and weight decay are those of He et al. 2015.",
        settings: SGD,
    },
    Choice {
        name: "adamw",
        about: "Adam with decoupled weight decay, as PyTorch's `AdamW` (Loshchilov and Hutter 2019).",
        settings: ADAMW,
    },
];

const fn rate(default: &'static str) -> Key {
    Key::new("lr", Shape::Number(0.0, 1e6), "Learning rate before the schedule.").default(default)
}

const DECAY_NORM: Key =
    Key::new("decay_norm", Shape::Flag, "Whether weight decay applies to normalisations and biases too.")
        .default("true");

const SGD: Section = Section {
    what: "`sgd`",
    keys: &[
        rate("0.1"),
        Key::new("momentum", Shape::Number(0.0, 1.0), "Factor of the velocity.").default("0.9"),
        Key::new(
            "dampening",
            Shape::Number(0.0, 1.0),
            "What the gradient loses on its way into the velocity: its factor there is `1 - dampening`.",
        )
        .default("0"),
        Key::new(
            "nesterov",
            Shape::Flag,
            "Whether momentum is Nesterov's, which needs a momentum and no dampening.",
        )
        .default("false"),
        Key::new(
            "weight_decay",
            Shape::Number(0.0, 1e3),
            "Factor of the parameter that is added to its gradient.",
        )
        .default("1e-4"),
        DECAY_NORM,
    ],
};

const ADAMW: Section = Section {
    what: "`adamw`",
    keys: &[
        rate("1e-3"),
        Key::new("beta1", Shape::Number(0.0, 0.999_999), "Decay of the mean gradient.").default("0.9"),
        Key::new("beta2", Shape::Number(0.0, 0.999_999), "Decay of the mean squared gradient.")
            .default("0.999"),
        Key::new("eps", Shape::Number(0.0, 1.0), "Added to the root of the mean square.").default("1e-8"),
        Key::new(
            "weight_decay",
            Shape::Number(0.0, 1e3),
            "Share of the parameter that a step takes off, times the learning rate.",
        )
        .default("1e-2"),
        DECAY_NORM,
    ],
};

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
