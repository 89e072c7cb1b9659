//! The `preprocess:` section: what becomes of a picture of any size before the network sees it.

use serde::{Deserialize, Serialize};

use super::train::{Normalize, SMALL, TrainConfig, per_channel};
use crate::datasets::{Facts, IMAGENET};
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::keys::KeySpans;
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// From a picture to the network's input, as torchvision's evaluation transform: resized, cropped, normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// How the picture gets the input's size.
    pub fit: Fit,
    /// How it is resampled.
    pub interpolation: Interpolation,
    /// Normalisation of the pixels (from `0..1`).
    pub normalize: Normalize,
}

impl Preprocess {
    /// The same part of a picture for a network whose input is of another `[height, width]` than `full`: its shorter side becomes as much
    /// shorter as the input's.
    pub fn scaled(&self, full: [usize; 2], size: [usize; 2]) -> Self {
        let fit = match self.fit {
            Fit::Center { resize } => {
                let [was, is] = [full, size].map(|[height, width]| height.min(width).max(1));
                let resize = (resize as f64 * is as f64 / was as f64).round() as usize;
                Fit::Center { resize: resize.max(size[0]).max(size[1]) }
            }
            Fit::Squash => Fit::Squash,
        };
        Preprocess { fit, ..self.clone() }
    }
}

/// How a picture gets the size of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Its shorter side becomes `resize` pixels long, the other keeps the ratio; the middle of that is cut out.
    Center {
        /// Length of the shorter side, no less than the input's longer one.
        resize: usize,
    },
    /// Both sides get the input's lengths, whatever the ratio was.
    Squash,
}

/// Filters of resampling, as Pillow has them: widened where the picture shrinks, but for `Nearest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A triangle over two pixels.
    Bilinear,
    /// Keys' cubic over four pixels, a = -0.5.
    Bicubic,
    /// A sinc in the window of another, over six pixels.
    Lanczos,
}

impl Interpolation {
    /// All, with the words that specs have for them.
    pub const ALL: [(&'static str, Interpolation); 4] = [
        ("nearest", Interpolation::Nearest),
        ("bilinear", Interpolation::Bilinear),
        ("bicubic", Interpolation::Bicubic),
        ("lanczos", Interpolation::Lanczos),
    ];

    /// As specs spell it.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, one)| *one == self);
        found.expect("the list has all").0
    }
}

/// Keys of the section.
pub const PREPROCESS: Section = Section {
    what: "`preprocess`",
    keys: &[
        Key::new(
            "resize",
            Shape::Count(1, MAX_SIDE),
            "Length that a picture's shorter side is resized to, before its middle is cut out.",
        )
        .default_is("8/7 of the longer side of `input`: 256 for 224"),
        Key::new(
            "interpolation",
            Shape::Word(&["nearest", "bilinear", "bicubic", "lanczos"]),
            "Filter of the resizing, antialiased as Pillow's.",
        )
        .default("bilinear"),
        Key::new(
            "crop",
            Shape::Word(&["center", "squash"]),
            "`center` cuts the middle out of the resized picture; `squash` resizes both sides to `input`, whatever the ratio.",
        )
        .default_is("`center`; where a side of `input` is shorter than 64, `squash`"),
        Key::new("mean", Shape::List(&Shape::Number(-1e3, 1e3), 1, None), "Mean of each channel, of pixels in 0..1.")
            .default_is(STATISTICS),
        Key::new(
            "std",
            Shape::List(&Shape::Number(1e-6, 1e3), 1, None),
            "Standard deviation of each channel, positive.",
        )
        .default_is(STATISTICS),
    ],
};

const STATISTICS: &str = "that of `train.normalize` or `train.dataset`; where neither is written and `input` has colours and 64 pixels or more, ImageNet's";

/// Longest side that a picture is resized to.
const MAX_SIDE: u64 = 1 << 14;

/// Reads the section; where there is none, all holds that its keys have by default. Faults go to the reader; where there are
/// some, what returns is of no use.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    input: Option<&Spanned<[usize; 3]>>,
    train: &TrainConfig,
    keys: &KeySpans,
) -> Preprocess {
    let fields = Fields::read(reader, node, &PREPROCESS);
    let size = input.map_or(IMAGENET.input, |input| input.value);
    let trained = ["train.normalize", "train.dataset"].iter().any(|key| keys.get(key).is_some());
    let mut normalize = statistics(size, train, trained);
    for entry in entries(node) {
        let values = match entry.key.as_str() {
            "mean" => &mut normalize.mean,
            "std" => &mut normalize.std,
            _ => continue,
        };
        *values = per_channel(reader, entry, input, &PREPROCESS).unwrap_or_default();
    }
    let word = fields.word(reader, "interpolation", "interpolation");
    let interpolation = Interpolation::ALL.into_iter().find(|(name, _)| *name == word);
    Preprocess {
        fit: fit(reader, &fields, size, input),
        interpolation: interpolation.map_or(Interpolation::Bilinear, |(_, found)| found),
        normalize,
    }
}

fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.kind) {
        Some(Kind::Map(entries)) => entries,
        _ => &[],
    }
}

/// What the network was, or will be, trained with; of a network whose training the spec does not say, the statistics of the data
/// set that such weights come from.
fn statistics([channels, height, width]: [usize; 3], train: &TrainConfig, trained: bool) -> Normalize {
    let Facts { mean, std, .. } = IMAGENET;
    let imagenet = channels == mean.len() && height.min(width) >= SMALL;
    match imagenet && !trained {
        true => Normalize { mean: mean.to_vec(), std: std.to_vec() },
        false => train.normalize.clone(),
    }
}

fn fit(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    [_, height, width]: [usize; 3],
    input: Option<&Spanned<[usize; 3]>>,
) -> Fit {
    let (shorter, longer) = (height.min(width), height.max(width));
    let center = match fields.get("crop") {
        Some(_) => word(reader, fields, "crop") == Some("center"),
        None => shorter >= SMALL,
    };
    let written = fields.get("resize");
    let resize = match written {
        Some(_) => fields.count(reader, "resize"),
        None => default_resize(longer),
    };
    if !center {
        if let Some(node) = written {
            let warning = Diagnostic::warning("`resize` has no effect", node.span, "the picture is squashed");
            reader.warnings.push(warning.help("take it out, or write `crop: center`"));
        }
        return Fit::Squash;
    }
    if let Some(node) = written.filter(|_| (1..longer).contains(&resize)) {
        reader.fault(too_short(resize, longer, node.span, input));
    }
    Fit::Center { resize }
}

/// The evaluation transform's ratio of 256 to 224, rounded.
fn default_resize(longer: usize) -> usize {
    (longer.saturating_mul(8) + 3) / 7
}

fn too_short(resize: usize, longer: usize, span: Span, input: Option<&Spanned<[usize; 3]>>) -> Diagnostic {
    let fault = Diagnostic::error(
        "the resized picture may be smaller than `input`",
        span,
        format!("its shorter side has {resize} pixels"),
    );
    let fault = match input {
        Some(input) => fault.label(input.span, format!("{longer} pixels")),
        None => fault,
    };
    fault.help(format!("write `resize: {}`, or `crop: squash` in its place", default_resize(longer)))
}

/// A word of a key without a default in words; `None` after a fault.
fn word(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<&'static str> {
    let node = fields.get(key)?;
    let text = reader.text(node, &format!("`{key}`"))?;
    let known = PREPROCESS.words(key);
    let found = known.iter().find(|&&known| known == text).copied();
    if found.is_none() {
        reader.unknown(key, text, node.span, known);
    }
    found
}
