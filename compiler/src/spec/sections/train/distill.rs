//! Learning from another network: its keys, and how they are read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ir::objective::Distillation;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of the section.
pub const DISTILL: Section = Section {
    what: "`distill`",
    keys: &[
        Key::required(
            "teacher",
            Shape::Text,
            "resnet56",
            "The network that is learned from: a compiled-in name, or the path of a spec, relative to the working directory.",
        ),
        Key::required(
            "weights",
            Shape::Text,
            "teacher.safetensors",
            "File of its weights, of any kind that `--weights` takes.",
        ),
        Key::new("alpha", Shape::Number(0.0, 1.0), "Share of the teacher in the loss; the labels have the rest.")
            .default("0.5"),
        Key::new(
            "temperature",
            Shape::Number(0.01, 1e3),
            "What logits of both are divided by before their softmax.",
        )
        .default("4"),
        Key::new(
            "hard",
            Shape::Flag,
            "Whether the class that the teacher holds for the likeliest is learned, and not its probabilities.",
        )
        .default("false"),
    ],
};

/// Who is learned from, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distill {
    /// A compiled-in network, or the path of a spec.
    pub teacher: String,
    /// File of its weights.
    pub weights: String,
    /// The loss.
    #[serde(flatten)]
    pub loss: Distillation,
}

/// As specs spell it.
impl fmt::Display for Distill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distill { teacher, weights, loss: Distillation { alpha, temperature, hard } } = self;
        write!(f, "{{teacher: {teacher:?}, weights: {weights:?}, alpha: {alpha}, ")?;
        write!(f, "temperature: {temperature}, hard: {hard}}}")
    }
}

/// Reads the section; after faults of what is needed there is none.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Distill> {
    let fields = Fields::read(reader, Some(node), &DISTILL);
    let mut text = |key: &str| match fields.get(key) {
        Some(value) => reader.text(value, &format!("`{key}`")).map(str::to_owned),
        None => {
            reader.missing(Some(node), node.span, DISTILL.what, DISTILL.key(key));
            None
        }
    };
    let (teacher, weights) = (text("teacher"), text("weights"));
    let loss = Distillation {
        alpha: fields.number(reader, "alpha"),
        temperature: fields.number(reader, "temperature"),
        hard: fields.flag(reader, "hard"),
    };
    Some(Distill { teacher: teacher?, weights: weights?, loss })
}
