//! What a training minimises: its keys, and how they are read.

use super::config::Mix;
use crate::diagnostic::Diagnostic;
use crate::ir::objective::Objective;
use crate::source::Spanned;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

const SUM_CLASSES: Key = Key::new(
    "sum_classes",
    Shape::Flag,
    "Whether the losses of an image's classes are added up; otherwise their mean is taken.",
)
.default("false");

const ALPHA: &str = "alpha";

/// Losses by name.
pub const LOSSES: &[Choice] = &[
    Choice {
        name: "cross_entropy",
        about: "Cross-entropy of the softmax, as PyTorch's `CrossEntropyLoss`.",
        settings: Section { what: "`cross_entropy`", keys: &[] },
    },
    Choice {
        name: "binary_cross_entropy",
        about: "Each class is judged on its own, as timm's `BinaryCrossEntropy` (\"ResNet strikes back\", Wightman et al. 2021).",
        settings: Section {
            what: "`binary_cross_entropy`",
            keys: &[
                Key::new(
                    "target_threshold",
                    Shape::Number(0.0, 1.0),
                    "Smoothed and mixed targets above it become 1, all others 0.",
                )
                .default_is("none: targets stay what they are"),
                SUM_CLASSES,
            ],
        },
    },
    Choice {
        name: "focal",
        about: "Loss in which what is right already counts less (Lin et al. 2017), in one of two forms.",
        settings: Section {
            what: "`focal`",
            keys: &[
                Key::new(
                    "gamma",
                    Shape::Number(0.0, 100.0),
                    "How much less: the power of the distance from the target.",
                )
                .default("2"),
                Key::new(
                    "form",
                    Shape::Word(&["sigmoid", "softmax"]),
                    "`sigmoid` judges each class on its own, as torchvision's `sigmoid_focal_loss`; `softmax` is a cross-entropy, for which `class_weights` stand in for `alpha`.",
                )
                .default("sigmoid"),
                Key::new(
                    ALPHA,
                    Shape::Number(0.0, 1.0),
                    "Weight of an image's own class; the others weigh `1 - alpha`. Of the form `sigmoid` alone.",
                )
                .default("0.25"),
                SUM_CLASSES,
            ],
        },
    },
];

/// The factors of the classes.
pub const CLASS_WEIGHTS: Key = Key::new(
    "class_weights",
    Shape::List(&Shape::Number(0.0, 1e6), 1, None),
    "Factor of each class in the loss, in the order of the classes.",
)
.default_is("none: all count alike");

/// Keys of `mix`.
pub const MIX: Section = Section {
    what: "`mix`",
    keys: &[
        Key::new(
            "mixup",
            Shape::Number(0.0, 1e3),
            "The alpha of mixup, whose shares are drawn from Beta(alpha, alpha); 0 for none (Zhang et al. 2018).",
        )
        .default("0"),
        Key::new(
            "cutmix",
            Shape::Number(0.0, 1e3),
            "The alpha of cutmix, whose shares are drawn from Beta(alpha, alpha); 0 for none (Yun et al. 2019).",
        )
        .default("0"),
        Key::new("probability", Shape::Number(0.0, 1.0), "Share of the batches that are mixed.").default("1"),
        Key::new("switch", Shape::Number(0.0, 1.0), "Of mixed batches, the share that cutmix has where there are both.")
            .default("0.5"),
        Key::new(
            "epochs",
            Shape::Count(1, MOST_EPOCHS),
            "How many epochs are mixed, the first ones; those behind them see whole images.",
        )
        .default_is("all"),
    ],
};

/// Most epochs that are mixed.
const MOST_EPOCHS: u64 = 1 << 24;

/// The loss of that name.
pub(super) fn objective(
    reader: &mut Reader<'_>,
    choice: &'static Choice,
    settings: Option<&Node>,
) -> Objective {
    let fields = Fields::read(reader, settings, &choice.settings);
    match choice.name {
        "binary_cross_entropy" => Objective::BinaryCrossEntropy {
            target_threshold: fields
                .get("target_threshold")
                .map(|_| fields.number(reader, "target_threshold")),
            sum_classes: fields.flag(reader, "sum_classes"),
        },
        "focal" => focal(reader, &fields),
        _ => Objective::CrossEntropy,
    }
}

fn focal(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Objective {
    let gamma = fields.number(reader, "gamma");
    if fields.word(reader, "form", "form") != "softmax" {
        let sum_classes = fields.flag(reader, SUM_CLASSES.name);
        return Objective::Focal { gamma, alpha: fields.number(reader, ALPHA), sum_classes };
    }
    let other = [
        (ALPHA, "write `class_weights` beside `loss`, a factor for each class"),
        (
            SUM_CLASSES.name,
            "take it out: the loss of an image is that of its class, and the mean over images is taken",
        ),
    ];
    for (key, help) in other {
        if let Some(node) = fields.get(key) {
            let fault = Diagnostic::error(
                format!("`{key}` belongs to `form: sigmoid`"),
                node.span,
                "the form is softmax",
            );
            reader.fault(fault.help(help));
        }
    }
    Objective::SoftmaxFocal { gamma }
}

/// One factor for each class, not all of them 0. Where the number of classes is not known, another fault says so.
pub(super) fn class_weights(
    reader: &mut Reader<'_>,
    node: &Node,
    classes: Option<&Spanned<usize>>,
) -> Option<Vec<f32>> {
    let items = reader.items(node, "`class_weights`")?;
    if let Some(classes) = classes.filter(|classes| classes.value != items.len()) {
        let message = format!("`class_weights` has {} numbers for {} classes", items.len(), classes.value);
        let fault = Diagnostic::error(message, node.span, format!("{} numbers", items.len()));
        let fault = fault.label(classes.span, format!("{} classes", classes.value));
        reader.fault(fault.help("write one number for each class, or correct `classes`"));
        return None;
    }
    let range = CLASS_WEIGHTS.number();
    let weights: Option<Vec<f32>> =
        items.iter().map(|item| reader.number(item, "a class weight", range.clone())).collect();
    let weights = weights?;
    if weights.iter().all(|&weight| weight == 0.0) {
        let fault = Diagnostic::error("`class_weights` leave nothing to learn", node.span, "all are 0");
        reader.fault(fault.help("give at least one class a weight above 0"));
        return None;
    }
    Some(weights)
}

/// How batches are mixed; with neither way there is nothing to do.
pub(super) fn mix(reader: &mut Reader<'_>, node: &Node) -> Option<Mix> {
    let before = reader.faults.len();
    let fields = Fields::read(reader, Some(node), &MIX);
    let mix = Mix {
        mixup: fields.number(reader, "mixup"),
        cutmix: fields.number(reader, "cutmix"),
        probability: fields.number(reader, "probability"),
        switch: fields.number(reader, "switch"),
        epochs: fields.get("epochs").map(|_| fields.count(reader, "epochs")),
    };
    if mix.mixup == 0.0 && mix.cutmix == 0.0 && reader.faults.len() == before {
        let fault = Diagnostic::error("`mix` mixes nothing", node.span, "neither `mixup` nor `cutmix`");
        reader.fault(fault.help("write `mix: {mixup: 0.2, cutmix: 1}`, or take `mix` out"));
        return None;
    }
    Some(mix)
}
