//! The average of weights over a training's updates.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands};

/// `average = decay * average + (1 - decay) * value`, in `f32`. At 1 nothing changes; at 0 the average becomes the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Average {
    /// Elements.
    pub len: usize,
    /// Of parameters: the number of the average among the optimizer's tensors. `None` of running statistics, whose average lies
    /// beside them.
    pub tensor: Option<u8>,
}

impl KernelInfo for Average {
    fn name(&self) -> &'static str {
        "average"
    }

    fn operands(&self) -> Option<Operands> {
        let (average, value) = match self.tensor {
            Some(tensor) => (Content::OptimizerState(tensor), Content::Param),
            None => (Content::RunningMean, Content::RunningMean),
        };
        let vector = |name, content| Operand::new(name, content, [self.len]);
        let decay = Operand::new("decay", Content::Factor, []);
        Some(Operands::new([vector("average", average).updated(), vector("value", value), decay], []))
    }

    fn geometry(&self) -> String {
        self.len.to_string()
    }
}
