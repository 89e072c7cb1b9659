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
            Objective::Focal { .. } => "focal",
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
}

impl fmt::Display for LossAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objective, smoothing, class_weights, mixed } = self;
        write!(f, "{objective} smoothing={smoothing}")?;
        if !class_weights.is_empty() {
            write!(f, " class_weights={class_weights:?}")?;
        }
        if *mixed { f.write_str(" mixed") } else { Ok(()) }
    }
}
