//! Convolutions of factors in bf16 by vectors.

mod convert;
pub(super) mod dot;
pub(super) mod rounded;
