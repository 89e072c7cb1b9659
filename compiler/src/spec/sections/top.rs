//! The keys of a whole spec.

use super::{
    expect, init, layers, network, norm, output_stride, preprocess, shortcut, stages, sweep, train, units,
};
use crate::spec::yaml::merge;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// The base of a spec.
const EXTENDS: Key = Key::new(
    "extends",
    Shape::Text,
    "The spec that this one changes: the name of a compiled-in one, or a file, whose path counts from this file's folder.",
);

/// Room for anchors.
const ANCHORS: Key = Key::new(
    merge::ANCHORS,
    Shape::Anything,
    "Values that this file uses several times: `anchors: {half: &half {stride: 2, depth: 2}}`, then `<<: *half` or `*half` below. \
     Nothing else reads them.",
);

/// The whole spec. `extends` and `anchors` are taken out before it is read.
pub const SPEC: Section = Section {
    what: "a spec",
    keys: &[
        EXTENDS,
        ANCHORS,
        network::NAME,
        network::INPUT,
        network::CLASSES,
        layers::STEM,
        units::UNIT,
        units::STYLE,
        norm::NORM,
        shortcut::SHORTCUT,
        stages::STAGES,
        layers::TRANSITION,
        output_stride::OUTPUT_STRIDE,
        layers::HEAD,
        network::OUTPUTS,
        units::UNITS,
        Key::new("init", Shape::Section(&init::INIT), "Initial values of the parameters.")
            .default_is("that of its keys"),
        Key::new(
            "expect",
            Shape::Section(&expect::EXPECT),
            "Figures that must hold: where one does not, nothing is compiled.",
        ),
        Key::new(
            "preprocess",
            Shape::Section(&preprocess::PREPROCESS),
            "What becomes of a picture before the network sees it.",
        )
        .default_is("that of its keys"),
        Key::new("train", Shape::Section(&train::TRAIN), "How the network is trained.")
            .default_is("that of its keys"),
        Key::new(
            "sweep",
            Shape::Section(&sweep::SWEEP),
            "Trainings that `resnetc run SPEC --train` makes of this spec, one after the other.",
        ),
    ],
};
