//! What steps of a plan have to do with each other: what convolutions may take in of the steps behind them, which find it done, and what goes on
//! beside them. The plan is the same.

use resnetc_compiler::plan::{BufferId, Plan};

use super::buckets::Buckets;
use super::masks::Masks;
use super::norms::Norms;
use super::scratch::Scratch;
use super::sums::Sums;
use crate::cuda::launch::{Call, Place, Prepared};
use crate::error::Result;

/// All that there is in a plan, and what is done so far.
pub(super) struct Fusions<'p> {
    /// Of the result's sums.
    pub sums: Sums<'p>,
    /// Of the gradient of a ReLU.
    pub masks: Masks<'p>,
    /// Normalisations and their gradients.
    pub norms: Norms<'p>,
    /// What is summed over ranks.
    pub buckets: Buckets,
    /// The scratch memory that is no step's alone, at its beginning.
    pub reserved: Scratch,
}

/// What a step has taken in, or left to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    /// It leaves the sums of this map.
    Sums(BufferId),
    /// It masks this gradient.
    Mask(BufferId),
    /// It leaves this result, and its others, to the step behind it, by this engine.
    Norm(BufferId, Prepared),
}

impl<'p> Fusions<'p> {
    /// Of a plan.
    pub fn of(plan: &'p Plan) -> Self {
        let sums = Sums::of(plan);
        let mut reserved = sums.memory;
        let buckets = Buckets::of(plan, &mut reserved);
        let norms = Norms::of(plan, buckets.ranks);
        Fusions { sums, masks: Masks::of(plan), norms, buckets, reserved }
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
            Fused::Norm(made, prepared) => self.norms.take(made, prepared),
        }
        Ok(())
    }
}
