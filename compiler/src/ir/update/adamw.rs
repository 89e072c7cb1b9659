//! Adam with decoupled weight decay.

use super::rule::{Kind, Rule, constants};

constants! {
    /// Constants of PyTorch's AdamW:
    /// `p -= lr * weight_decay * p; m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2`;
    /// `p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`.
    AdamWAttrs {
        beta1: f32 = "0.9", Kind::Number(0.0, 0.999_999), false, "Decay of the mean gradient.";
        beta2: f32 = "0.999", Kind::Number(0.0, 0.999_999), false, "Decay of the mean squared gradient.";
        eps: f32 = "1e-8", Kind::Number(0.0, 1.0), false, "Added to the root of the mean square.";
        weight_decay: f32 = "1e-2", Kind::Number(0.0, 1e3), false,
            "Share of the parameter that a step takes off, times the learning rate.";
    }
}

impl Rule for AdamWAttrs {
    const NAME: &'static str = "adamw";
    const QUOTED: &'static str = "`adamw`";
    const KERNEL: &'static str = "adamw_update";
    const ABOUT: &'static str =
        "Adam with decoupled weight decay, as PyTorch's `AdamW` (Loshchilov and Hutter 2019).";
    const RATE: &'static str = "1e-3";
    const STATE: &'static [&'static str] = &["exp_avg", "exp_avg_sq"];
    /// Decay: 1; both means: 5; root, quotient and step: 6.
    const FLOPS: u64 = 12;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        AdamWAttrs { weight_decay, ..self }
    }
}
