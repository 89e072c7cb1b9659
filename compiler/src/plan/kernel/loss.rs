//! Softmax, the loss, and its gradient.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::loss_scale::loss_scale;
use super::operand::{Content, Operand, Operands, product};
use super::text::{flag, matrix};

/// Softmax of every row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    /// Images.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
}

impl KernelInfo for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn operands(&self) -> Option<Operands> {
        let logits = logits("logits", self.rows, self.classes)?;
        Some(Operands::new([logits], [Operand { name: "probabilities", ..logits }]))
    }

    fn geometry(&self) -> String {
        matrix(self.rows, self.classes)
    }
}

/// Mean cross-entropy, and the number of images whose largest logit is at the label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropy {
    /// Images.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Label smoothing.
    pub smoothing: f32,
}

impl KernelInfo for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn operands(&self) -> Option<Operands> {
        let logits = logits("logits", self.rows, self.classes)?;
        let results = ["loss", "correct"].map(|name| Operand::new(name, Content::Scalar, []));
        Some(Operands::new([logits, labels(self.rows, self.classes)], results))
    }

    fn geometry(&self) -> String {
        format!("{} smoothing {}", matrix(self.rows, self.classes), self.smoothing)
    }
}

/// Gradient of the mean cross-entropy by the logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropyBackward {
    /// Images.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Label smoothing.
    pub smoothing: f32,
    /// Whether the gradient is multiplied with a `scale` from memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
}

impl KernelInfo for CrossEntropyBackward {
    fn name(&self) -> &'static str {
        "cross_entropy_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let logits = logits("logits", self.rows, self.classes)?;
        let dlogits = Operand { name: "dlogits", ..logits };
        let operands = Operands::new([logits, labels(self.rows, self.classes)], [dlogits]);
        Some(operands.input(self.scaled.then(loss_scale)))
    }

    fn geometry(&self) -> String {
        let scaled = flag(self.scaled, "scaled");
        format!("{} smoothing {}{scaled}", matrix(self.rows, self.classes), self.smoothing)
    }
}

pub(super) fn logits(name: &'static str, rows: usize, classes: usize) -> Option<Operand> {
    product([rows, classes])?;
    Some(Operand::new(name, Content::Logits, [rows, classes]))
}

pub(super) fn labels(rows: usize, classes: usize) -> Operand {
    Operand::new("labels", Content::Index(classes), [rows])
}
