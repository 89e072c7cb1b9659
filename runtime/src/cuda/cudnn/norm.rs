//! What a batch normalisation in training has to do, as data.

use serde::{Deserialize, Serialize};

use super::tensor::{Element, Role};
use crate::cuda::normalise::NormPattern;

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
    use resnetc_compiler::ir::activation::Activation;

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
