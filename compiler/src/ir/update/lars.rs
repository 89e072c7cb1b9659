//! SGD with a rate for each parameter by its norm.

use super::rule::{Kind, Rule, constants};
use super::sgd::nesterov_fault;

constants! {
    /// Constants of LARS (You et al. 2017), as timm's `Lars`:
    /// `g = r * (g + weight_decay * p)`, then SGD's velocity and step, where
    /// `r = trust_coeff * |p| / (|g| + weight_decay * |p| + eps)`, by norms over the whole parameter; 1 where either is 0, and for
    /// parameters without weight decay unless `always_adapt`. With `trust_clip` it is `min(r / lr, 1)`.
    LarsAttrs {
        momentum: f32 = "0.9", Kind::Number(0.0, 1.0), false, "Factor of the velocity.";
        dampening: f32 = "0", Kind::Number(0.0, 1.0), true,
            "What the gradient loses on its way into the velocity: its factor there is `1 - dampening`.";
        nesterov: bool = "false", Kind::Flag, false,
            "Whether momentum is Nesterov's, which needs a momentum and no dampening.";
        trust_coeff: f32 = "1e-3", Kind::Number(0.0, 1e3), false, "Factor of the ratio of norms.";
        eps: f32 = "1e-8", Kind::Number(0.0, 1.0), false, "Added to what the norm is divided by.";
        weight_decay: f32 = "1e-4", Kind::Number(0.0, 1e3), false,
            "Factor of the parameter that is added to its gradient.";
        trust_clip: bool = "false", Kind::Flag, false,
            "Whether the ratio is a rate of its own, `lr` at most, in place of a factor of `lr`.";
        always_adapt: bool = "false", Kind::Flag, false,
            "Whether parameters without weight decay have a ratio of norms, too.";
    }
}

impl Rule for LarsAttrs {
    const NAME: &'static str = "lars";
    const QUOTED: &'static str = "`lars`";
    const KERNEL: &'static str = "lars_update";
    const ABOUT: &'static str = "SGD, each parameter's step by the ratio of its norm to its gradient's (LARS, You et al. 2017), as timm's `Lars`. For large batches.";
    const RATE: &'static str = "1";
    const STATE: &'static [&'static str] = &["velocity"];
    /// SGD's 6, both norms: 4, the ratio: 1.
    const FLOPS: u64 = 11;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        LarsAttrs { weight_decay, ..self }
    }

    fn per_tensor(&self) -> bool {
        self.weight_decay != 0.0 || self.always_adapt
    }

    fn state_touched(&self) -> u64 {
        u64::from(self.momentum != 0.0)
    }

    fn fault(&self) -> Option<[&'static str; 2]> {
        nesterov_fault(self.nesterov, self.momentum, self.dampening)
    }
}
