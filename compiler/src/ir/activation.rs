//! Activations, and what their gradients are computed from.

use serde::{Deserialize, Serialize};

/// Elementwise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x` where positive, `slope * x` elsewhere. `slope` is positive, so the sign of the result is that of `x`.
    LeakyRelu {
        /// Factor of the negative half.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`
    Tanh,
    /// `x * sigmoid(x)` (Elfwing et al. 2017; Ramachandran et al. 2017 as swish).
    Silu,
    /// `x * (1 + erf(x / sqrt(2))) / 2`: the exact form, PyTorch's default (Hendrycks and Gimpel 2016).
    Gelu,
}

/// What an activation's gradient is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradFrom {
    /// The activation's result.
    Result,
    /// Its input: the result does not determine the derivative, since the function is not monotonic.
    Input,
}

impl Activation {
    /// Whether the sign of the result says which of two constants the derivative is: its gradient then is a mask that
    /// any kernel can apply to what it reads.
    pub fn keeps_sign(self) -> bool {
        match self {
            Activation::Relu | Activation::LeakyRelu { .. } => true,
            Activation::Sigmoid | Activation::Tanh | Activation::Silu | Activation::Gelu => false,
        }
    }

    /// What the gradient is computed from, the second operand of [`ActivateBackward`](super::op::Op::ActivateBackward).
    pub fn grad_from(self) -> GradFrom {
        match self {
            Activation::Relu | Activation::LeakyRelu { .. } | Activation::Sigmoid | Activation::Tanh => {
                GradFrom::Result
            }
            Activation::Silu | Activation::Gelu => GradFrom::Input,
        }
    }
}
