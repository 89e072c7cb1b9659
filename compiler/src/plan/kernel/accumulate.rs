//! The sum of gradients over the batches of one update.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands};

/// `sum += share * grad`, where `share` is that of the batch's images among those of the update. Of the last batch
/// `grad = sum + share * grad; sum = 0`: what follows sees the mean gradient of all images. Padding between gradients, which is zero,
/// stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccumulateGradients {
    /// Elements.
    pub len: usize,
    /// Number of the sum among the optimizer's tensors.
    pub tensor: u8,
    /// Whether the batch is the update's last one.
    pub last: bool,
}

impl KernelInfo for AccumulateGradients {
    fn name(&self) -> &'static str {
        if self.last { "accumulate_last" } else { "accumulate" }
    }

    fn operands(&self) -> Option<Operands> {
        let vector = |name, content| Operand::new(name, content, [self.len]);
        let grad = vector("grad", Content::Grad);
        let grad = if self.last { grad.updated() } else { grad };
        let sum = vector("sum", Content::OptimizerState(self.tensor)).updated();
        Some(Operands::new([grad, sum, Operand::new("share", Content::Factor, [])], []))
    }

    fn geometry(&self) -> String {
        self.len.to_string()
    }
}
