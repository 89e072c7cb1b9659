//! What all updates are given.

use crate::simd::Vector;

/// What changes from step to step, as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Learning rate, the group's factor included.
    pub rate: f32,
    /// Number of the step, from 0.
    pub step: u64,
    /// Factor of the gradient before all else: what undoes the loss' scale, or 1.
    pub unscale: f32,
}

/// A gradient times a factor; as it is where that is 1.
#[inline(always)]
pub(super) fn unscaled<V: Vector>(g: V, factor: f32, factors: V) -> V {
    if factor == 1.0 { g } else { g.mul(factors) }
}
