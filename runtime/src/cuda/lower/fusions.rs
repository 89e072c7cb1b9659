//! What convolutions of a plan may take in of the steps behind them. The plan is the same: those steps find it done.

use resnetc_compiler::plan::{BufferId, Plan};

use super::masks::Masks;
use super::sums::Sums;
use crate::cuda::launch::{Call, Place};
use crate::error::Result;

/// All that there is in a plan, and what is done so far.
pub(super) struct Fusions<'p> {
    /// Of the result's sums.
    pub sums: Sums<'p>,
    /// Of the gradient of a ReLU.
    pub masks: Masks<'p>,
}

/// What a convolution has taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    /// It leaves the sums of this map.
    Sums(BufferId),
    /// It masks this gradient.
    Mask(BufferId),
}

impl<'p> Fusions<'p> {
    /// Of a plan.
    pub fn of(plan: &'p Plan) -> Self {
        Fusions { sums: Sums::of(plan), masks: Masks::of(plan) }
    }

    /// Takes down what a step has taken in; what has to be done before it comes before its calls.
    ///
    /// # Errors
    /// Where there are too many sums to be counted.
    pub fn note(&mut self, fused: Fused, calls: &mut Vec<Call<Place>>) -> Result<()> {
        match fused {
            Fused::Sums(map) => {
                let zeros = self.sums.leave(map)?;
                calls.splice(0..0, zeros.map(Call::Launch));
            }
            Fused::Mask(gradient) => self.masks.apply(gradient),
        }
        Ok(())
    }
}
