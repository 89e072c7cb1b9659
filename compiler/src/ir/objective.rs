//! What a training minimises, beyond plain cross-entropy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A loss of logits `x` against targets `t`, both `[n, classes]`, with `p = sigmoid(x)` where a class is judged on its own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// `-sum(t * log_softmax(x))`, the mean over images: PyTorch's `CrossEntropyLoss`.
    #[default]
    CrossEntropy,
    /// `-(t * log(p) + (1 - t) * log(1 - p))`, the mean over images and classes: PyTorch's `BCEWithLogitsLoss`, with the targets of
    /// timm's `BinaryCrossEntropy` ("ResNet strikes back", Wightman et al. 2021).
    BinaryCrossEntropy {
        /// Targets above it are 1, others 0.
        target_threshold: Option<f32>,
        /// Whether classes are summed instead of averaged.
        sum_classes: bool,
    },
    /// The binary cross-entropy times `a * (1 - q)^gamma` with `q = t * p + (1 - t) * (1 - p)` and
    /// `a = t * alpha + (1 - t) * (1 - alpha)`: torchvision's `sigmoid_focal_loss` (Lin et al. 2017).
    Focal {
        /// How much less a class counts that is right already.
        gamma: f32,
        /// Weight of the classes that are there, beside `1 - alpha` of those that are not.
        alpha: f32,
        /// Whether classes are summed instead of averaged.
        sum_classes: bool,
    },
    /// `-sum(t * (1 - s)^gamma * log(s))` with `s = softmax(x)`, the mean over images: the focal loss of classes that exclude each other
    /// (Lin et al. 2017, their equation 4 over a softmax). With a `gamma` of 0 it is the cross-entropy.
    SoftmaxFocal {
        /// How much less an image counts that is right already.
        gamma: f32,
    },
}

impl Objective {
    /// Whether it is [`Objective::CrossEntropy`].
    pub fn is_default(&self) -> bool {
        *self == Objective::CrossEntropy
    }

    /// Its name in specs.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::CrossEntropy => "cross_entropy",
            Objective::BinaryCrossEntropy { .. } => "binary_cross_entropy",
            Objective::Focal { .. } | Objective::SoftmaxFocal { .. } => "focal",
        }
    }
}

/// As a spec has it: `{focal: {gamma: 2, alpha: 0.25, sum_classes: false}}`.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Objective::CrossEntropy => f.write_str(name),
            Objective::BinaryCrossEntropy { target_threshold, sum_classes } => {
                let threshold =
                    target_threshold.map_or(String::new(), |t| format!("target_threshold: {t}, "));
                write!(f, "{{{name}: {{{threshold}sum_classes: {sum_classes}}}}}")
            }
            Objective::Focal { gamma, alpha, sum_classes } => {
                write!(f, "{{{name}: {{gamma: {gamma}, alpha: {alpha}, sum_classes: {sum_classes}}}}}")
            }
            Objective::SoftmaxFocal { gamma } => write!(f, "{{{name}: {{gamma: {gamma}, form: softmax}}}}"),
        }
    }
}

/// What is learned from another network's logits `z`, beside the labels: the loss becomes `(1 - alpha) * loss + alpha * distilled`, both
/// means over images. Class weights and label smoothing are the labels'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    /// Share of what is distilled, `0..=1`.
    pub alpha: f32,
    /// `T` of `T^2 * KL(softmax(z / T) || softmax(x / T))` (Hinton et al. 2015).
    pub temperature: f32,
    /// Whether it is the cross-entropy with the class of the largest `z` instead, the first of equal ones (DeiT, Touvron et al. 2021).
    pub hard: bool,
}

impl fmt::Display for Distillation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distillation { alpha, temperature, hard } = self;
        if *hard {
            write!(f, "distilled {alpha} hard")
        } else {
            write!(f, "distilled {alpha} at {temperature}")
        }
    }
}

/// A loss with all that its targets are made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LossAttrs {
    /// What is minimised.
    pub objective: Objective,
    /// Weight of the uniform distribution in the target (label smoothing).
    pub smoothing: f32,
    /// Factor of each class; empty where all count alike.
    pub class_weights: Vec<f32>,
    /// Whether an image is a mixture of two, with a label of each.
    pub mixed: bool,
    /// What is learned from a teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
}

impl fmt::Display for LossAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objective, smoothing, class_weights, mixed, distillation } = self;
        write!(f, "{objective} smoothing={smoothing}")?;
        if !class_weights.is_empty() {
            write!(f, " class_weights={class_weights:?}")?;
        }
        if *mixed {
            f.write_str(" mixed")?;
        }
        distillation.map_or(Ok(()), |distillation| write!(f, " {distillation}"))
    }
}
