//! The keys of the `train:` section: what may be written, and what holds where nothing is.

use super::augment::AUGMENTATIONS;
use super::loss::{CLASS_WEIGHTS, LOSSES, MIX};
use crate::datasets;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

/// Keys of the section.
pub const TRAIN: Section = Section {
    what: "`train`",
    keys: &[
        Key::new(
            "dataset",
            Shape::Word(&datasets::NAMES),
            "The data set to train on where the command line names none.",
        )
        .default_is("none: training then takes the embedded one"),
        Key::new("epochs", Shape::Count(1, MOST), "Passes over the training set.").default("10"),
        Key::new("batch_size", Shape::Count(1, 1 << 16), "Images of one step.").default("128"),
        Key::new("optimizer", Shape::Choice(OPTIMIZERS), "How a step changes the parameters.").default("sgd"),
        Key::new("schedule", Shape::Choice(SCHEDULES), "How the learning rate changes over the training.")
            .default("cosine"),
        Key::new("warmup", Shape::Section(&WARMUP), "Linear rise of the learning rate before the schedule.")
            .default_is("none"),
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
        .default_is("the data set's statistics; 0.5 and 0.5 where none are known"),
        Key::new(
            "augment",
            Shape::List(&Shape::Steps(AUGMENTATIONS), 0, None),
            "Random changes of training images, in their order.",
        )
        .default("[]"),
        Key::new("mix", Shape::Section(&MIX), "Mixtures of two images with their labels, as timm's `Mixup`.")
            .default_is("none"),
        Key::new(
            "tta",
            Shape::Word(&["none", "flip"]),
            "Test-time augmentation: evaluation takes the mean logits of each image and its mirror image.",
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
            "tf32",
            Shape::Flag,
            "Whether GPUs may round what convolutions and linear layers multiply in `f32` to TF32.",
        )
        .default("false"),
    ],
};

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

const BY_NAMES: Shape = Shape::Word(&["epoch", "step"]);
const BY_EPOCH: Key =
    Key::new("by", BY_NAMES, "What is counted; the rate changes as often.").default("epoch");
const BY_STEP: Key = Key::new("by", BY_NAMES, "How often the rate changes.").default("step");
/// Points of time, ascending.
pub const MILESTONES: Key = Key::required(
    "milestones",
    Shape::List(&Shape::Count(1, MOST), 1, None),
    "[82, 123]",
    "Points at which the rate changes, ascending, counted in `by`.",
);
const GAMMA: Key =
    Key::new("gamma", Shape::Number(0.0, 1e3), "Factor that the learning rate changes by.").default("0.1");

/// Schedules by name.
pub const SCHEDULES: &[Choice] = &[
    Choice {
        name: "constant",
        about: "The learning rate never changes.",
        settings: Section { what: "`constant`", keys: &[] },
    },
    Choice {
        name: "step",
        about: "The learning rate is multiplied by `gamma` after each period.",
        settings: Section {
            what: "`step`",
            keys: &[
                Key::required(
                    "every",
                    Shape::Count(1, MOST),
                    "30",
                    "Period between two changes of the rate, counted in `by`.",
                ),
                GAMMA,
                BY_EPOCH,
            ],
        },
    },
    Choice {
        name: "multistep",
        about: "The learning rate is multiplied by `gamma` at each milestone.",
        settings: Section { what: "`multistep`", keys: &[MILESTONES, GAMMA, BY_EPOCH] },
    },
    Choice {
        name: "cosine",
        about: "The learning rate falls along half a cosine to `min_lr`, over all of the training that follows the warm-up.",
        settings: Section {
            what: "`cosine`",
            keys: &[
                Key::new("min_lr", Shape::Number(0.0, 1e6), "Learning rate at the end, `lr` at most.")
                    .default("0"),
                BY_STEP,
            ],
        },
    },
    Choice {
        name: "one_cycle",
        about: "The learning rate rises linearly to its full value at `peak`, then falls linearly (Smith 2018).",
        settings: Section {
            what: "`one_cycle`",
            keys: &[
                Key::new("start", Shape::Number(0.0, 1.0), "Factor of the learning rate at the beginning.")
                    .default("0.04"),
                Key::new(
                    "peak",
                    Shape::Number(0.0, 1.0),
                    "When the rate is highest, as a part of the whole training.",
                )
                .default("0.3"),
                Key::new("end", Shape::Number(0.0, 1.0), "Factor of the learning rate at the end.")
                    .default("0"),
                BY_STEP,
            ],
        },
    },
];

/// Keys of a warm-up.
pub const WARMUP: Section = Section {
    what: "`warmup`",
    keys: &[
        Key::required("length", Shape::Count(1, MOST), "5", "Length of the rise, counted in `by`."),
        BY_EPOCH,
        Key::new("from", Shape::Number(0.0, 1.0), "Factor of the learning rate at the beginning.")
            .default("0.01"),
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

/// Most epochs, steps of a schedule, images in a batch.
const MOST: u64 = 1 << 24;
