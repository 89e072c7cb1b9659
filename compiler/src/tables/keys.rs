//! The keys of a table file.

use crate::spec::yaml::shape::{Key, Section, Shape};

/// Largest error: all images.
const ALL: f64 = 100.0;

/// A table.
pub const TABLE: Section = Section {
    what: "a table",
    keys: &[
        Key::required("title", Shape::Text, "\"My Paper, table 1\"", "What it is, for people."),
        Key::new("source", Shape::Text, "Where it was published."),
        Key::required(
            "dataset",
            Shape::Text,
            "cifar10",
            "What its networks are trained on, as `train.dataset` has it.",
        ),
        Key::new("figures", Shape::Text, "What the published errors are: `the median of 5 runs`."),
        Key::new("note", Shape::Text, "What is otherwise here than in the publication."),
        Key::new(
            "recipe",
            Shape::Anything,
            "How all its networks are trained: keys as `--set` has them, with their values.",
        ),
        Key::required(
            "rows",
            Shape::List(&Shape::Section(&ROW), 1, None),
            "[{id: mine, network: mine.yaml, error: 5.0}]",
            "The networks.",
        ),
        Key::new(
            "left_out",
            Shape::List(&Shape::Section(&LEFT_OUT), 0, None),
            "Rows of the publication that are not here.",
        ),
    ],
};

/// A row of it.
pub const ROW: Section = Section {
    what: "a row",
    keys: &[
        Key::required(
            "id",
            Shape::Name,
            "mine",
            "Its name for `--rows` and in folders: letters, digits, `_`, `-` and `.`.",
        ),
        Key::new("name", Shape::Text, "Its name for people.").default_is("the `id`"),
        Key::required(
            "network",
            Shape::Text,
            "resnet20",
            "A compiled-in network, or a spec beside the table.",
        ),
        Key::new("set", Shape::Anything, "Changes of the network or its training, behind those of `recipe`."),
        Key::new(
            "params",
            Shape::Any(&[Shape::Count(1, u64::MAX), Shape::Text]),
            "The published number of parameters, `269_722` or rounded, as `0.27M`; the network must have it.",
        ),
        Key::new("params_differ", Shape::Text, "Why the network has another number than the published one."),
        Key::new("error", Shape::Number(0.0, ALL), "The published error, in percent of the test images."),
        Key::new("std", Shape::Number(0.0, ALL), "Its standard deviation."),
        Key::new(
            "above",
            Shape::Number(0.0, ALL),
            "In place of `error`: the training failed, its error is above this.",
        ),
        Key::new("note", Shape::Text, "What is to be known of the row."),
    ],
};

/// A row that is not there.
pub const LEFT_OUT: Section = Section {
    what: "a row that is left out",
    keys: &[
        Key::required("name", Shape::Text, "ResNet-1202", "Its name for people."),
        Key::required("why", Shape::Text, "\"the language has no such layer\"", "Why it is not here."),
    ],
};
