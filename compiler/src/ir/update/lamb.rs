//! Adam with a rate for each parameter by its norm.

use super::rule::{Kind, Rule, constants};

constants! {
    /// Constants of LAMB (You et al. 2020), as timm's `Lamb` without its clipping, which is `train.clip` here:
    /// `m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2`;
    /// `u = m / (1 - beta1^t) / (sqrt(v) / sqrt(1 - beta2^t) + eps) + weight_decay * p; p -= lr * r * u`, where
    /// `r = |p| / |u|`, by norms over the whole parameter; 1 where either is 0, and for parameters without weight decay unless
    /// `always_adapt`; 1 at most with `trust_clip`.
    LambAttrs {
        beta1: f32 = "0.9", Kind::Number(0.0, 0.999_999), false, "Decay of the mean gradient.";
        beta2: f32 = "0.999", Kind::Number(0.0, 0.999_999), false, "Decay of the mean squared gradient.";
        eps: f32 = "1e-6", Kind::Number(0.0, 1.0), false, "Added to the root of the mean square.";
        weight_decay: f32 = "1e-2", Kind::Number(0.0, 1e3), false,
            "Factor of the parameter that is added to its step.";
        trust_clip: bool = "false", Kind::Flag, false, "Whether the ratio of norms is 1 at most.";
        always_adapt: bool = "false", Kind::Flag, false,
            "Whether parameters without weight decay have a ratio of norms, too.";
    }
}

impl Rule for LambAttrs {
    const NAME: &'static str = "lamb";
    const QUOTED: &'static str = "`lamb`";
    const KERNEL: &'static str = "lamb_update";
    const ABOUT: &'static str = "Adam, each parameter's step as long as the parameter (LAMB, You et al. 2020), as timm's `Lamb`. For large batches.";
    const RATE: &'static str = "1e-3";
    const STATE: &'static [&'static str] = &["exp_avg", "exp_avg_sq"];
    /// Both means: 5; root, quotient, decay: 7; both norms: 4; step: 2.
    const FLOPS: u64 = 18;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        LambAttrs { weight_decay, ..self }
    }

    fn per_tensor(&self) -> bool {
        self.weight_decay != 0.0 || self.always_adapt
    }
}
