//! Test-time augmentation: the views of a picture whose answers are averaged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Words for ways without settings.
pub(super) const WORDS: &[&str] = &[NONE, FLIP];
const NONE: &str = "none";
const FLIP: &str = "flip";

/// Views without and with mirrored ones.
const CROPS: [u64; 2] = [5, 10];

/// Keys of a way with crops.
pub const TTA: Section = Section {
    what: "`tta`",
    keys: &[
        Key::required(
            "crops",
            Shape::Count(CROPS[0], CROPS[1]),
            "10",
            "5: the corners and the middle of the resized picture, as torchvision's `FiveCrop`; 10: their mirror images too, as `TenCrop`.",
        ),
        Key::new(
            "mean",
            Shape::Word(&["probabilities", "logits"]),
            "What is averaged over the views: probabilities, as in Krizhevsky et al. 2012, or logits.",
        )
        .default("probabilities"),
    ],
};

/// What the answer to a picture is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tta {
    /// One view: the answer is that of the network.
    #[default]
    None,
    /// The logits of the image and its mirror image (Jordan 2024).
    Flip,
    /// The corners and the middle of the resized picture: torchvision's `FiveCrop`, `TenCrop`.
    Crops {
        /// Whether those of the mirrored picture count too.
        mirrored: bool,
        /// What is averaged.
        mean: Mean,
    },
}

/// What is averaged over views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mean {
    /// `mean(logits)`
    #[default]
    Logits,
    /// `mean(softmax(logits))`
    Probabilities,
}

/// A window of the resized picture, of the size of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// Half of what is left over on each side; odd halves are rounded as torchvision's `CenterCrop` does.
    #[default]
    Middle,
    /// The same, counted from the right side: what is the middle of the mirrored picture.
    MiddleFromRight,
    /// At the first row and column.
    TopLeft,
    /// At the first row and the last column.
    TopRight,
    /// At the last row and the first column.
    BottomLeft,
    /// At the last row and column.
    BottomRight,
}

impl Window {
    const CORNERS: [Window; 4] = [Window::TopLeft, Window::TopRight, Window::BottomLeft, Window::BottomRight];
}

/// What a network is shown of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// What is cut out.
    pub window: Window,
    /// Whether that is mirrored, left to right.
    pub mirrored: bool,
}

impl Tta {
    /// Whether a picture is shown once, as it is.
    pub fn is_none(&self) -> bool {
        *self == Tta::None
    }

    /// All views, at least one.
    pub fn views(&self) -> Vec<Shown> {
        let plain = |window| Shown { window, mirrored: false };
        let turned = |window| Shown { window, mirrored: true };
        let corners = Window::CORNERS;
        let five = corners.map(plain).into_iter().chain([plain(Window::Middle)]);
        match self {
            Tta::None => vec![plain(Window::Middle)],
            Tta::Flip => vec![plain(Window::Middle), turned(Window::Middle)],
            Tta::Crops { mirrored: false, .. } => five.collect(),
            Tta::Crops { mirrored: true, .. } => {
                five.chain(corners.map(turned)).chain([turned(Window::MiddleFromRight)]).collect()
            }
        }
    }

    /// What is averaged over the views.
    pub fn mean(&self) -> Mean {
        match self {
            Tta::None | Tta::Flip => Mean::Logits,
            Tta::Crops { mean, .. } => *mean,
        }
    }

    /// Whether views are cut out of a picture that is larger than the network's input.
    pub fn crops(&self) -> bool {
        matches!(self, Tta::Crops { .. })
    }
}

/// As specs spell it.
impl fmt::Display for Tta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tta::None => f.write_str(NONE),
            Tta::Flip => f.write_str(FLIP),
            Tta::Crops { mirrored, mean } => {
                let mean = if *mean == Mean::Logits { "logits" } else { "probabilities" };
                write!(f, "{{crops: {}, mean: {mean}}}", CROPS[usize::from(*mirrored)])
            }
        }
    }
}

/// A word, or a map of settings.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Tta {
    match &node.kind {
        Kind::Scalar { text, .. } if text == NONE => Tta::None,
        Kind::Scalar { text, .. } if text == FLIP => Tta::Flip,
        Kind::Scalar { text, .. } => {
            reader.unknown("test-time augmentation", text, node.span, WORDS);
            Tta::None
        }
        _ => crops(reader, node),
    }
}

fn crops(reader: &mut Reader<'_>, node: &Node) -> Tta {
    let before = reader.faults.len();
    let fields = Fields::read(reader, Some(node), &TTA);
    let word = fields.word(reader, "mean", "mean");
    let mean = if word == "logits" { Mean::Logits } else { Mean::Probabilities };
    let Some(written) = fields.get("crops") else {
        if reader.faults.len() == before {
            reader.missing(Some(node), node.span, "`tta`", TTA.key("crops"));
        }
        return Tta::None;
    };
    let crops = fields.count(reader, "crops") as u64;
    if reader.faults.len() == before && !CROPS.contains(&crops) {
        let fault =
            Diagnostic::error(format!("there are no {crops} crops"), written.span, "neither 5 nor 10");
        reader.fault(fault.help("5 are the corners and the middle; 10 have their mirror images too"));
    }
    Tta::Crops { mirrored: crops == CROPS[1], mean }
}
