//! What a batch normalisation in training has to do, as data.

use resnetc_compiler::ir::activation::Activation;
use serde::{Deserialize, Serialize};

use super::tensor::{Element, Role};

/// What is computed, of a map `x` of packed pixels. Statistics, factors and summands are `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPattern {
    /// `y = act((x - mean) * rstd * scale + shift + residual)` by the statistics of `x`, which are stored, and which the running ones
    /// take in.
    NormForward {
        /// Whether a map is added.
        residual: bool,
        /// Applied last; not all have a mode in cuDNN.
        act: Option<Activation>,
    },
    /// `dx`, `dscale` and `dshift` from `dy`, by the statistics that were stored.
    NormBackward {
        /// Whether a ReLU stands behind it, whose sign is computed anew from `x`.
        relu: bool,
    },
}

impl NormPattern {
    /// `norm + residual + relu`
    pub fn text(&self) -> String {
        match *self {
            NormPattern::NormForward { residual, act } => {
                let act = act.map(|act| act.info().name);
                let parts = [residual.then_some("residual"), act];
                parts.into_iter().flatten().fold("norm".to_owned(), |text, part| format!("{text} + {part}"))
            }
            NormPattern::NormBackward { relu: false } => "norm backward".to_owned(),
            NormPattern::NormBackward { relu: true } => "norm backward + drelu".to_owned(),
        }
    }
}

/// A normalisation's work. Two with the same one can share a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    /// What is computed.
    pub norm: NormPattern,
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Type of the maps.
    pub element: Element,
}

impl Norm {
    /// Bytes of a tensor in memory.
    pub fn bytes(&self, role: Role) -> usize {
        let map = matches!(role, Role::X | Role::Y | Role::Residual | Role::Dy | Role::Dx);
        match (map, role.is_number()) {
            (true, _) => self.rows * self.channels * self.element.size(),
            (false, true) => Element::F32.size(),
            (false, false) => self.channels * Element::F32.size(),
        }
    }

    /// `802816x64`
    pub fn sizes(&self) -> String {
        format!("{}x{}", self.rows, self.channels)
    }
}

/// `norm + relu bf16 802816x64`
impl std::fmt::Display for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.norm.text(), self.element.name(), self.sizes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisations_are_told_in_words() {
        let forward = |residual, act| NormPattern::NormForward { residual, act };
        let norm = |norm| Norm { norm, rows: 32, channels: 8, element: Element::Bf16 };
        let text = |pattern| norm(pattern).to_string();
        assert_eq!(text(forward(false, None)), "norm bf16 32x8");
        assert_eq!(text(forward(true, Some(Activation::Relu))), "norm + residual + relu bf16 32x8");
        assert_eq!(text(NormPattern::NormBackward { relu: true }), "norm backward + drelu bf16 32x8");
        let forward = norm(forward(false, None));
        assert_eq!([Role::Y, Role::Mean, Role::Epsilon].map(|role| forward.bytes(role)), [512, 32, 4]);
    }
}
