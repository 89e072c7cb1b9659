//! Losses of targets that are more than a label, and their gradients.

use serde::{Deserialize, Serialize};

use super::geometry::LossGeometry;
use super::info::KernelInfo;
use super::loss::{labels, logits};
use super::loss_scale::loss_scale;
use super::operand::{Content, Operand, Operands};
use super::text::{flag, matrix};

/// A loss, and the number of images whose largest logit is at the label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetLoss {
    /// Sizes, and which loss.
    pub geometry: LossGeometry,
}

impl KernelInfo for TargetLoss {
    fn name(&self) -> &'static str {
        "target_loss"
    }

    fn operands(&self) -> Option<Operands> {
        let results = ["loss", "correct"].map(|name| Operand::new(name, Content::Scalar, []));
        let operands = inputs(&self.geometry)?;
        Some(results.into_iter().fold(operands, Operands::output))
    }

    fn geometry(&self) -> String {
        text(&self.geometry)
    }
}

/// Gradient of a loss by the logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetLossBackward {
    /// Of the loss.
    pub geometry: LossGeometry,
    /// Whether the gradient is multiplied with a `scale` from memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
}

impl KernelInfo for TargetLossBackward {
    fn name(&self) -> &'static str {
        "target_loss_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let LossGeometry { rows, classes, .. } = self.geometry;
        let operands = inputs(&self.geometry)?.input(self.scaled.then(loss_scale));
        Some(operands.output(logits("dlogits", rows, classes)?))
    }

    fn geometry(&self) -> String {
        text(&self.geometry) + &flag(self.scaled, "scaled")
    }
}

/// `logits, labels [, others, shares] [, teacher] [, class_weights]`
fn inputs(geometry: &LossGeometry) -> Option<Operands> {
    let LossGeometry { rows, classes, weighted, mixed, distillation, .. } = *geometry;
    let teacher = logits("teacher", rows, classes)?;
    let others = Operand { name: "others", ..labels(rows, classes) };
    let shares = Operand::new("shares", Content::Share, [rows]);
    let weights = Operand::new("class_weights", Content::ClassWeight, [classes]);
    let operands = Operands::new([logits("logits", rows, classes)?, labels(rows, classes)], []);
    let operands = operands.input(mixed.then_some(others)).input(mixed.then_some(shares));
    let operands = operands.input(distillation.map(|_| teacher));
    Some(operands.input(weighted.then_some(weights)))
}

fn text(geometry: &LossGeometry) -> String {
    let LossGeometry { rows, classes, objective, smoothing, weighted, mixed, distillation } = *geometry;
    let distilled = distillation.map_or(String::new(), |distillation| format!(" {distillation}"));
    let flags = flag(weighted, "weighted") + &flag(mixed, "mixed") + &distilled;
    format!("{} {objective} smoothing {smoothing}{flags}", matrix(rows, classes))
}
