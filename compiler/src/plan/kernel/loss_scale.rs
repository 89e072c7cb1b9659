//! What a scaled loss asks for besides its scaled gradient and updates that divide by the scale: whether all gradients are finite,
//! and the next scale.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands};
use crate::ir::loss_scale::DynamicScale;

/// The scale, as the kernels that apply it read it.
pub(super) fn loss_scale() -> Operand {
    Operand::new("scale", Content::LossScale, [])
}

/// `finite = 1` where no gradient is infinite or NaN, else 0. The operand spans all gradients, padding between them included, which
/// is zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AllFinite {
    /// Elements.
    pub len: usize,
}

impl KernelInfo for AllFinite {
    fn name(&self) -> &'static str {
        "all_finite"
    }

    fn operands(&self) -> Option<Operands> {
        let grad = Operand::new("grad", Content::Grad, [self.len]);
        Some(Operands::new([grad], [Operand::new("finite", Content::Finite, [])]))
    }

    fn geometry(&self) -> String {
        self.len.to_string()
    }
}

/// The scale of the next step, and how many steps were left out so far. Where `finite` is 0, `skipped` grows by 1, the scale is
/// multiplied with `backoff`, and `good_steps` becomes 0; else `good_steps` grows by 1, and where it reaches `interval`, the scale is
/// multiplied with `growth`, if the product is finite, and `good_steps` becomes 0. Counts are whole numbers in `f32`: a checkpoint
/// holds them as it holds statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossScaleUpdate {
    /// How the scale changes; a static one has neither `scale` nor `good_steps` among the operands.
    pub dynamic: Option<DynamicScale>,
}

impl KernelInfo for LossScaleUpdate {
    fn name(&self) -> &'static str {
        "loss_scale_update"
    }

    fn operands(&self) -> Option<Operands> {
        let finite = Operand::new("finite", Content::Finite, []);
        let count = |name| Operand::new(name, Content::StepCount, []).updated();
        let mut operands = Operands::new([finite, count("skipped")], []);
        if self.dynamic.is_some() {
            operands.inputs.extend([loss_scale().updated(), count("good_steps")]);
        }
        Some(operands)
    }

    fn geometry(&self) -> String {
        self.dynamic.map_or("static".to_owned(), |dynamic| dynamic.to_string())
    }
}
