//! The optimizer's update.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::loss_scale::loss_scale;
use super::operand::{Content, Operand, Operands};
use super::text::flag;
use crate::ir::update::{Matrix, UpdateRule, is_one, one};

/// One step of the optimizer, in place. Operands may span many parameters that lie side by side with the same constants,
/// padding between them included; of a rule that depends on norms ([`UpdateRule::per_tensor`]) they are one parameter's. The state follows the gradient, a tensor for each name in
/// [`UpdateRule::state`], then the rate and the number of the step.
///
/// Gradients of a scaled loss are divided by its scale first; where `finite` is 0 nothing changes. Steps that were left out so
/// (`skipped`) do not count for the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Elements.
    pub len: usize,
    /// What is done, with its constants.
    pub rule: UpdateRule,
    /// Factor of the learning rate.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lr_scale: f32,
    /// How the parameter lies in memory, where the rule asks for it ([`UpdateRule::takes_matrix`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// Whether the gradients are those of a scaled loss: `scale`, `finite` and `skipped` are operands then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
}

impl KernelInfo for Update {
    fn name(&self) -> &'static str {
        self.rule.kernel_name()
    }

    fn operands(&self) -> Option<Operands> {
        let vector = |name, content| Operand::new(name, content, [self.len]);
        let mut operands =
            Operands::new([vector("param", Content::Param).updated(), vector("grad", Content::Grad)], []);
        for (slot, name) in (0..).zip(self.rule.state()) {
            operands.inputs.push(vector(name, Content::OptimizerState(slot)).updated());
        }
        let rate = Operand::new("rate", Content::Rate, []);
        operands = operands.input(rate).input(Operand::new("step", Content::StepNumber, []));
        if self.scaled {
            let finite = Operand::new("finite", Content::Finite, []);
            operands.inputs.extend([loss_scale(), finite, Operand::new("skipped", Content::StepCount, [])]);
        }
        Some(operands)
    }

    fn geometry(&self) -> String {
        let rate =
            if is_one(&self.lr_scale) { String::new() } else { format!(" lr_scale {}", self.lr_scale) };
        let size = self.matrix.map_or(self.len.to_string(), |m| format!("{}x{}", m.rows, m.cols));
        format!("{size} {}{rate}{}", self.rule.constants(), flag(self.scaled, "scaled"))
    }
}
