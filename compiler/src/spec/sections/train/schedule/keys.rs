//! The keys of schedules, of a warm-up, and of what ends a training early.

use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

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
const MIN_LR: Key =
    Key::new("min_lr", Shape::Number(0.0, 1e6), "Learning rate at the end, `lr` at most.").default("0");
const METRIC: Key = Key::new("metric", Shape::Word(&["loss", "accuracy"]), "What has to get better.");
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
        settings: Section { what: "`cosine`", keys: &[MIN_LR, BY_STEP] },
    },
    Choice {
        name: "cosine_restarts",
        about: "The learning rate falls along half a cosine to `min_lr`, and begins anew (Loshchilov and Hutter 2017); as PyTorch's `CosineAnnealingWarmRestarts`.",
        settings: Section {
            what: "`cosine_restarts`",
            keys: &[
                Key::required(
                    "period",
                    Shape::Count(1, MOST),
                    "10",
                    "Length of the first fall, counted in `by`.",
                ),
                Key::new("factor", Shape::Count(1, 1 << 10), "Length of a fall by the one before.")
                    .default("1"),
                MIN_LR,
                BY_EPOCH,
            ],
        },
    },
    Choice {
        name: "polynomial",
        about: "The learning rate falls to `min_lr` as a power of what is left of the training that follows the warm-up; as PyTorch's `PolynomialLR`.",
        settings: Section {
            what: "`polynomial`",
            keys: &[
                Key::new("power", Shape::Number(0.0, 1e3), "The exponent: 1 is a straight line.")
                    .default("1"),
                MIN_LR,
                BY_STEP,
            ],
        },
    },
    Choice {
        name: "exponential",
        about: "The learning rate is multiplied by `gamma` after each epoch or step; as PyTorch's `ExponentialLR`.",
        settings: Section {
            what: "`exponential`",
            keys: &[
                Key::new("gamma", Shape::Number(0.0, 1e3), "Factor that the learning rate changes by.")
                    .default("0.95"),
                BY_EPOCH,
            ],
        },
    },
    Choice {
        name: "plateau",
        about: "The learning rate is multiplied by `factor` when evaluations get no better; as PyTorch's `ReduceLROnPlateau`, whose epochs are evaluations here.",
        settings: Section {
            what: "`plateau`",
            keys: &[
                METRIC.default("loss"),
                Key::new(
                    "factor",
                    Shape::Number(0.0, 0.999_999),
                    "Factor that the learning rate changes by.",
                )
                .default("0.1"),
                Key::new(
                    "patience",
                    Shape::Count(0, MOST),
                    "Evaluations in a row that may be no better; the one after them lowers the rate.",
                )
                .default("10"),
                Key::new(
                    "threshold",
                    Shape::Number(0.0, 0.999_999),
                    "Share of the best value that a better one has to differ by.",
                )
                .default("1e-4"),
                Key::new("cooldown", Shape::Count(0, MOST), "Evaluations after a change that do not count.")
                    .default("0"),
                Key::new("min_lr", Shape::Number(0.0, 1e6), "Least learning rate.").default("0"),
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

/// Keys of an early end.
pub const EARLY_STOPPING: Section = Section {
    what: "`early_stopping`",
    keys: &[
        METRIC.default("accuracy"),
        Key::required(
            "patience",
            Shape::Count(1, MOST),
            "10",
            "Evaluations in a row that are no better, after which the training ends.",
        ),
        Key::new(
            "min_delta",
            Shape::Number(0.0, 1e6),
            "What a better value has to differ from the best by: accuracy counts from 0 to 1.",
        )
        .default("0"),
    ],
};

/// Most epochs, steps, evaluations.
const MOST: u64 = 1 << 24;
