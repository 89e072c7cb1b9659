//! The keys of a whole spec.

use super::{expect, init, layers, network, output_stride, shortcut, stages, train, units};
use crate::spec::yaml::shape::{Key, Section, Shape};

/// The whole spec. `extends` is taken out before it is read.
pub const SPEC: Section = Section {
    what: "a spec",
    keys: &[
        Key::new(
            "extends",
            Shape::Text,
            "The spec that this one changes: a file beside it, or a compiled-in name.",
        ),
        network::NAME,
        network::INPUT,
        network::CLASSES,
        layers::STEM,
        units::UNIT,
        units::STYLE,
        Key::new("norm", Shape::Language, "What `bn` without arguments stands for: `group_norm(groups=32)`."),
        Key::new(
            "shortcut",
            Shape::Any(&[shortcut::ONE, Shape::Section(&shortcut::SHORTCUT)]),
            "What `shortcut` means.",
        ),
        stages::STAGES,
        layers::TRANSITION,
        output_stride::OUTPUT_STRIDE,
        layers::HEAD,
        network::OUTPUTS,
        units::UNITS,
        Key::new("init", Shape::Section(&init::INIT), "First values of the parameters."),
        Key::new("expect", Shape::Section(&expect::EXPECT), "Figures that must hold."),
        Key::new("train", Shape::Section(&train::TRAIN), "How the network is trained."),
    ],
};
