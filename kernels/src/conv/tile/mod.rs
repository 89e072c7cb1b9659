//! Register tiles: their sizes, the innermost loops, how weights are ordered for them, and what becomes of their sums.

pub(super) mod convolve;
pub(super) mod correlate;
pub(super) mod epilogue;
pub(super) mod multiply;
pub(super) mod panels;
pub(super) mod shape;
pub(super) mod sums;
