//! Clipping of gradients before the update.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done to all gradients of a step, those of the loss itself where it is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// `g *= min(1, max / (|g| + 1e-6))`, by the norm over all parameters, as PyTorch's `clip_grad_norm_`.
    Norm(f32),
    /// `g = min(max(g, -max), max)`, as PyTorch's `clip_grad_value_`.
    Value(f32),
}

impl Clip {
    /// Added to the norm.
    pub const EPS: f64 = 1e-6;

    /// The bound.
    pub fn max(self) -> f32 {
        match self {
            Clip::Norm(max) | Clip::Value(max) => max,
        }
    }

    /// As specs spell it.
    pub fn word(self) -> &'static str {
        match self {
            Clip::Norm(_) => "norm",
            Clip::Value(_) => "value",
        }
    }
}

/// `norm: 1`
impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.max())
    }
}
