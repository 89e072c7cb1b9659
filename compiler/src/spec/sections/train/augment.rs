//! Random changes of training images: their names, their settings, and how they are read.

use super::config::Augment;
use crate::datasets;
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

/// Augmentations by name.
pub const AUGMENTATIONS: &[Choice] = &[
    Choice {
        name: "random_resized_crop",
        about: "A random part of the picture, resized to `input`, as torchvision's `RandomResizedCrop`. It stands first, and takes pictures of any size.",
        settings: Section {
            what: "`random_resized_crop`",
            keys: &[
                Key::new(
                    "scale",
                    Shape::List(&Shape::Number(1e-4, 1.0), 2, Some(2)),
                    "Least and most area of the part, as a share of the picture's.",
                )
                .default("[0.08, 1]"),
                Key::new(
                    "ratio",
                    Shape::List(&Shape::Number(0.01, 100.0), 2, Some(2)),
                    "Least and most ratio of its width to its height.",
                )
                .default("[0.75, 1.3333334]"),
            ],
        },
    },
    Choice {
        name: "crop",
        about: "A window of the image's size, cut at random out of the image with pixels around it, as torchvision's `RandomCrop`.",
        settings: Section {
            what: "`crop`",
            keys: &[
                Key::new(
                    "padding",
                    Shape::Count(1, 1 << 12),
                    "Pixels on each side of the image that the window is cut out of.",
                )
                .default("4"),
                Key::new(
                    "padding_mode",
                    Shape::Word(&["zero", "reflect"]),
                    "What they are: zeros after normalisation, or the image's own, mirrored at the border.",
                )
                .default("zero"),
            ],
        },
    },
    Choice {
        name: "flip",
        about: "The image mirrored, left to right unless `direction` says otherwise; for both directions it stands there twice.",
        settings: Section {
            what: "`flip`",
            keys: &[
                Key::new("probability", Shape::Number(0.0, 1.0), "Share of the images that are mirrored.")
                    .default("0.5"),
                Key::new(
                    "direction",
                    Shape::Word(&["horizontal", "vertical"]),
                    "`horizontal` exchanges left and right, `vertical` top and bottom, as torchvision's `RandomVerticalFlip`.",
                )
                .default("horizontal"),
                Key::new(
                    "alternating",
                    Shape::Flag,
                    "Whether an image is mirrored in every other epoch: that share of them in the first one (airbench, Jordan 2024).",
                )
                .default("false"),
            ],
        },
    },
    Choice {
        name: "cutout",
        about: "A square of zeros around a random pixel, cut off at the border (DeVries and Taylor 2017).",
        settings: Section {
            what: "`cutout`",
            keys: &[Key::new("size", Shape::Count(1, 1 << 12), "Length of the square's sides, in pixels.")
                .default("8")],
        },
    },
    Choice {
        name: "random_erasing",
        about: "A rectangle of zeros somewhere within the image, as torchvision's `RandomErasing` (Zhong et al. 2017).",
        settings: Section {
            what: "`random_erasing`",
            keys: &[
                Key::new("probability", Shape::Number(0.0, 1.0), "Share of the images that are erased.")
                    .default("0.5"),
                Key::new("scale", RANGE, "Least and largest part of the image.").default("[0.02, 0.33]"),
                Key::new("ratio", RANGE, "Least and largest height over width.").default("[0.3, 3.3]"),
            ],
        },
    },
    Choice {
        name: "color_jitter",
        about: "Random brightness, contrast, saturation and hue in random order, as torchvision's `ColorJitter`.",
        settings: Section {
            what: "`color_jitter`",
            keys: &[
                Key::new("brightness", JITTER, "The factor is from `1 - brightness` to `1 + brightness`.")
                    .default("0.4"),
                Key::new("contrast", JITTER, "The factor is from `1 - contrast` to `1 + contrast`.").default("0.4"),
                Key::new("saturation", JITTER, "The factor is from `1 - saturation` to `1 + saturation`.")
                    .default("0.4"),
                Key::new("hue", Shape::Number(0.0, 0.5), "The hue turns by up to that part of the circle.")
                    .default("0"),
            ],
        },
    },
    Choice {
        name: "rand_augment",
        about: "Random operations of one magnitude, as torchvision's `RandAugment` (Cubuk et al. 2020).",
        settings: Section {
            what: "`rand_augment`",
            keys: &[
                Key::new("operations", Shape::Count(1, 16), "How many, one behind the other.").default("2"),
                Key::new("magnitude", Shape::Count(0, 30), "How strong they are.").default("9"),
            ],
        },
    },
    Choice {
        name: "trivial_augment",
        about: "One random operation of a random magnitude, as torchvision's `TrivialAugmentWide` (Müller and Hutter 2021).",
        settings: Section { what: "`trivial_augment`", keys: &[] },
    },
    Choice {
        name: "aug_mix",
        about: "Chains of random operations, mixed with each other and the image, as torchvision's `AugMix` (Hendrycks et al. 2020).",
        settings: Section {
            what: "`aug_mix`",
            keys: &[
                Key::new("severity", Shape::Count(1, 10), "How strong operations are at most.").default("3"),
                Key::new("width", Shape::Count(1, 16), "Number of chains.").default("3"),
                Key::new("depth", Shape::Count(1, 16), "Operations of a chain.").default_is("1 to 3, at random"),
                Key::new("alpha", Shape::Number(1e-3, 1e3), "Of the distributions of the chains' shares.")
                    .default("1"),
            ],
        },
    },
];

const RANGE: Shape = Shape::List(&Shape::Number(1e-4, 1e4), 2, Some(2));
const JITTER: Shape = Shape::Number(0.0, 100.0);

/// What a training on people's own pictures does to them where nothing is written: what nets for photographs are trained with or,
/// of small images, what those of CIFAR are.
pub(super) fn usual(dataset: Option<&str>, input: Option<&Spanned<[usize; 3]>>) -> Vec<Augment> {
    if !dataset.is_some_and(datasets::is_path) {
        return Vec::new();
    }
    let small = input.is_some_and(|input| input.value[1].min(input.value[2]) < SMALL);
    let settings =
        |name: &str| &AUGMENTATIONS.iter().find(|known| known.name == name).expect("in the table").settings;
    let first = match small {
        true => Augment::Crop { padding: settings("crop").default("padding") },
        false => {
            let settings = settings("random_resized_crop");
            Augment::RandomResizedCrop {
                scale: default_range(settings, "scale"),
                ratio: default_range(settings, "ratio"),
            }
        }
    };
    vec![first, Augment::Flip { probability: settings("flip").default("probability") }]
}

/// Inputs with a shorter side are those of small pictures, whose edges nobody cuts off.
pub const SMALL: usize = 64;

/// `[{crop: {padding: 4}}, flip]`; a map with several keys is that many steps.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<Augment> {
    let mut steps = Vec::new();
    for item in reader.items(node, "`augment`").unwrap_or_default() {
        match &item.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    let settings = (!entry.value.is_empty()).then_some(&entry.value);
                    let step = augmentation(reader, &entry.key, entry.span, settings);
                    add(reader, &mut steps, step, entry.span);
                }
            }
            Kind::Scalar { text, .. } if !text.is_empty() => {
                let step = augmentation(reader, text, item.span, None);
                add(reader, &mut steps, step, item.span);
            }
            Kind::Scalar { .. } | Kind::List(_) => {
                reader.wrong(item, "an item of `augment`", "a name, or a map with one key")
            }
        }
    }
    steps
}

fn augmentation(reader: &mut Reader<'_>, name: &str, span: Span, settings: Option<&Node>) -> Option<Augment> {
    let Some(known) = AUGMENTATIONS.iter().find(|known| known.name == name) else {
        let names: Vec<&str> = AUGMENTATIONS.iter().map(|known| known.name).collect();
        reader.unknown("augmentation", name, span, &names);
        return None;
    };
    let fields = Fields::read(reader, settings, &known.settings);
    Some(match known.name {
        "random_resized_crop" => Augment::RandomResizedCrop {
            scale: range(reader, &fields, &known.settings, "scale"),
            ratio: range(reader, &fields, &known.settings, "ratio"),
        },
        "crop" => {
            let padding = fields.count(reader, "padding");
            match fields.word(reader, "padding_mode", "padding mode") {
                "reflect" => Augment::CropReflect { padding },
                _ => Augment::Crop { padding },
            }
        }
        "flip" => flip(reader, &fields),
        "random_erasing" => Augment::RandomErasing {
            probability: fields.number(reader, "probability"),
            scale: range(reader, &fields, &known.settings, "scale"),
            ratio: range(reader, &fields, &known.settings, "ratio"),
        },
        "color_jitter" => {
            let all = ["brightness", "contrast", "saturation", "hue"];
            let [brightness, contrast, saturation, hue] = all.map(|key| fields.number(reader, key));
            Augment::ColorJitter { brightness, contrast, saturation, hue }
        }
        "rand_augment" => Augment::RandAugment {
            operations: fields.count(reader, "operations"),
            magnitude: fields.count(reader, "magnitude"),
        },
        "trivial_augment" => Augment::TrivialAugment,
        "aug_mix" => Augment::AugMix {
            severity: fields.count(reader, "severity"),
            width: fields.count(reader, "width"),
            depth: fields.get("depth").map(|_| fields.count(reader, "depth")),
            alpha: fields.number(reader, "alpha"),
        },
        _ => Augment::Cutout { size: fields.count(reader, "size") },
    })
}

fn flip(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Augment {
    let probability = fields.number(reader, "probability");
    let vertical = fields.word(reader, "direction", "direction") == "vertical";
    let alternating = fields.flag(reader, "alternating");
    if let (true, true, Some(node)) = (vertical, alternating, fields.get("alternating")) {
        let fault = Diagnostic::error(
            "`alternating` belongs to `direction: horizontal`",
            node.span,
            "the direction is vertical",
        );
        reader.fault(fault.help("take it out: the image is then mirrored at random"));
    }
    match (vertical, alternating) {
        (true, _) => Augment::FlipVertical { probability },
        (false, true) => Augment::FlipAlternating { probability },
        (false, false) => Augment::Flip { probability },
    }
}

/// Puts a change behind the others. What takes pictures of any size has to be the first.
fn add(reader: &mut Reader<'_>, steps: &mut Vec<Augment>, step: Option<Augment>, span: Span) {
    if matches!(step, Some(Augment::RandomResizedCrop { .. })) && !steps.is_empty() {
        let fault =
            Diagnostic::error("`random_resized_crop` stands behind another change", span, "not the first");
        reader.fault(
            fault.help("write it first, and once: it makes images of one size out of pictures of any"),
        );
    }
    steps.extend(step);
}

/// Two numbers, the second no less than the first.
fn range(reader: &mut Reader<'_>, fields: &Fields<'_>, section: &Section, key: &str) -> [f32; 2] {
    let Some(node) = fields.get(key) else { return default_range(section, key) };
    let (what, bounds) = (format!("`{key}`"), section.number(key));
    let items = reader.items(node, &what).unwrap_or_default();
    let numbers: Option<Vec<f32>> =
        items.iter().map(|item| reader.number(item, &what, bounds.clone())).collect();
    let fault = match numbers.as_deref() {
        None => return default_range(section, key),
        Some(&[least, most]) if least <= most => return [least, most],
        Some([_, _]) => Diagnostic::error(format!("{what} falls"), node.span, "the least comes first"),
        Some(other) => {
            let text =
                if other.len() == 1 { "1 number".to_owned() } else { format!("{} numbers", other.len()) };
            Diagnostic::error(format!("{what} is the least and the most"), node.span, text)
        }
    };
    reader.fault(fault.help(format!("write `{key}: {}`", section.key(key).default.text())));
    default_range(section, key)
}

/// The two numbers that stand for a key.
fn default_range(section: &Section, key: &str) -> [f32; 2] {
    let text = section.key(key).default.text();
    let mut numbers = text.trim_matches(['[', ']']).split(',').map(|number| number.trim().parse());
    std::array::from_fn(|_| numbers.next().and_then(Result::ok).expect("a table's default is two numbers"))
}
