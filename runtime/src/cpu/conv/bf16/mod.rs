//! Convolutions of factors in bf16 by vectors.

mod convert;
pub(super) mod pairs;
pub(super) mod rounded;
