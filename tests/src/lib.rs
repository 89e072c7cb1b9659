//! What the suites share: generated kernels and data, hand-built plans, bounds on rounding, naive oracles.

#![forbid(unsafe_code)]

pub mod again;
pub mod bounds;
pub mod emulated;
pub mod evaluate;
pub mod generate;
pub mod kernels;
pub mod naive;
pub mod nets;
pub mod operands;
pub mod plans;
pub mod ranks;
pub mod rng;
pub mod specs;
pub mod together;
pub mod training;
