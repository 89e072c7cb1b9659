//! Optimizers: what an update does to a parameter, as data. A rule has constants, and any number of tensors of state per
//! parameter, all of the parameter's shape and zero at first. The rate, the number of the step, and all else that changes
//! from step to step lies in memory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an update computes. `p` is the parameter, `g` its gradient, `lr` the step's rate, `t` the number of the step, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateRule {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD`.
    Sgd(SgdAttrs),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch's `AdamW`.
    #[serde(rename = "adamw")]
    AdamW(AdamWAttrs),
}

/// Constants of PyTorch's SGD:
/// `g += weight_decay * p; v = momentum * v + (1 - dampening) * g` (first step: `v = g`);
/// `g = nesterov ? g + momentum * v : v` (or `g` where momentum is 0); `p -= lr * g`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SgdAttrs {
    /// Factor of the velocity.
    pub momentum: f32,
    /// Damping of the gradient's entry into the velocity.
    pub dampening: f32,
    /// Nesterov's form.
    pub nesterov: bool,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f32,
}

/// Constants of PyTorch's AdamW:
/// `p -= lr * weight_decay * p; m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2`;
/// `p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWAttrs {
    /// Decay of the mean gradient.
    pub beta1: f32,
    /// Decay of the mean squared gradient.
    pub beta2: f32,
    /// Added to the root.
    pub eps: f32,
    /// Share of the parameter that is taken off, times the rate.
    pub weight_decay: f32,
}

impl UpdateRule {
    /// As specs and reports spell it.
    pub fn name(&self) -> &'static str {
        match self {
            UpdateRule::Sgd(_) => "sgd",
            UpdateRule::AdamW(_) => "adamw",
        }
    }

    /// Name of its kernel in reports.
    pub fn kernel_name(&self) -> &'static str {
        match self {
            UpdateRule::Sgd(_) => "sgd_update",
            UpdateRule::AdamW(_) => "adamw_update",
        }
    }

    /// Names of its tensors of state, one of each per parameter, in the order of the kernel's operands. A checkpoint holds
    /// them as `optimizer.<name>.<parameter>`.
    pub fn state(&self) -> &'static [&'static str] {
        match self {
            UpdateRule::Sgd(_) => &["velocity"],
            UpdateRule::AdamW(_) => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// Weight decay.
    pub fn weight_decay(&self) -> f32 {
        match self {
            UpdateRule::Sgd(sgd) => sgd.weight_decay,
            UpdateRule::AdamW(adamw) => adamw.weight_decay,
        }
    }

    /// The same rule with another weight decay.
    pub fn with_weight_decay(self, weight_decay: f32) -> Self {
        match self {
            UpdateRule::Sgd(sgd) => UpdateRule::Sgd(SgdAttrs { weight_decay, ..sgd }),
            UpdateRule::AdamW(adamw) => UpdateRule::AdamW(AdamWAttrs { weight_decay, ..adamw }),
        }
    }

    /// Floating-point operations for each element.
    pub fn flops(&self) -> u64 {
        match self {
            // Decay, velocity, step: a multiplication and an addition each.
            UpdateRule::Sgd(_) => 6,
            // Decay: 1; both means: 5; root, quotient and step: 6.
            UpdateRule::AdamW(_) => 12,
        }
    }

    /// Tensors of state that a step reads and writes.
    pub fn state_touched(&self) -> u64 {
        match self {
            UpdateRule::Sgd(SgdAttrs { momentum, .. }) => u64::from(*momentum != 0.0),
            UpdateRule::AdamW(_) => 2,
        }
    }

    /// The constants in words.
    pub fn constants(&self) -> String {
        match self {
            UpdateRule::Sgd(SgdAttrs { momentum, dampening, nesterov, weight_decay }) => {
                let nesterov = if *nesterov { " nesterov" } else { "" };
                format!("momentum {momentum} dampening {dampening} weight_decay {weight_decay}{nesterov}")
            }
            UpdateRule::AdamW(AdamWAttrs { beta1, beta2, eps, weight_decay }) => {
                format!("beta1 {beta1} beta2 {beta2} eps {eps} weight_decay {weight_decay}")
            }
        }
    }
}

/// `sgd_update momentum=0.9 weight_decay=0.0001`
impl fmt::Display for UpdateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel_name())?;
        match self {
            UpdateRule::Sgd(SgdAttrs { momentum, dampening, nesterov, weight_decay }) => {
                write!(f, " momentum={momentum} weight_decay={weight_decay}")?;
                if *dampening != 0.0 {
                    write!(f, " dampening={dampening}")?;
                }
                f.write_str(if *nesterov { " nesterov" } else { "" })
            }
            UpdateRule::AdamW(AdamWAttrs { beta1, beta2, eps, weight_decay }) => {
                write!(f, " beta1={beta1} beta2={beta2} eps={eps} weight_decay={weight_decay}")
            }
        }
    }
}
