//! Clipping of gradients.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::loss_scale::loss_scale;
use super::operand::{Content, Operand, Operands};
use super::text::flag;
use crate::ir::clip::Clip;

/// Clips all gradients in place; padding between them, which is zero, stays so. Those of a scaled loss are clipped to as many times the
/// bound: what the update divides by the scale is within it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClipGradients {
    /// Elements.
    pub len: usize,
    /// How.
    pub by: Clip,
    /// Whether the gradients are those of a scaled loss: `scale` is an operand then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
}

impl KernelInfo for ClipGradients {
    fn name(&self) -> &'static str {
        match self.by {
            Clip::Norm(_) => "clip_norm",
            Clip::Value(_) => "clip_value",
        }
    }

    fn operands(&self) -> Option<Operands> {
        let grad = Operand::new("grad", Content::Grad, [self.len]).updated();
        Some(Operands::new([grad], []).input(self.scaled.then(loss_scale)))
    }

    fn geometry(&self) -> String {
        format!("{} max {}{}", self.len, self.by.max(), flag(self.scaled, "scaled"))
    }
}
