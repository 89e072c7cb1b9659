//! Evolved sign momentum.

use super::rule::{Kind, Rule, constants};

constants! {
    /// Constants of Lion (Chen et al. 2023, algorithm 2), as timm's `Lion`:
    /// `p -= lr * weight_decay * p; p -= lr * sign(beta1 * m + (1 - beta1) * g); m = beta2 * m + (1 - beta2) * g`.
    LionAttrs {
        beta1: f32 = "0.9", Kind::Number(0.0, 0.999_999), false,
            "Share of the mean gradient in what the sign is taken of.";
        beta2: f32 = "0.99", Kind::Number(0.0, 0.999_999), false, "Decay of the mean gradient.";
        weight_decay: f32 = "0", Kind::Number(0.0, 1e3), false,
            "Share of the parameter that a step takes off, times the learning rate; 3 to 10 times AdamW's.";
    }
}

impl Rule for LionAttrs {
    const NAME: &'static str = "lion";
    const QUOTED: &'static str = "`lion`";
    const KERNEL: &'static str = "lion_update";
    const ABOUT: &'static str = "Steps of one size, by the sign of a mean gradient (Lion, Chen et al. 2023), as timm's `Lion`. Its rate is a third to a tenth of AdamW's.";
    const RATE: &'static str = "1e-4";
    const STATE: &'static [&'static str] = &["exp_avg"];
    /// Decay: 1; what the sign is taken of: 3; step: 2; mean: 3.
    const FLOPS: u64 = 9;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        LionAttrs { weight_decay, ..self }
    }
}
