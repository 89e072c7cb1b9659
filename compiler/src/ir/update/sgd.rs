//! Stochastic gradient descent with momentum.

use super::rule::{Kind, Rule, constants};

constants! {
    /// Constants of PyTorch's SGD:
    /// `g += weight_decay * p; v = momentum * v + (1 - dampening) * g` (first step: `v = g`);
    /// `g = nesterov ? g + momentum * v : v` (or `g` where momentum is 0); `p -= lr * g`.
    SgdAttrs {
        momentum: f32 = "0.9", Kind::Number(0.0, 1.0), false, "Factor of the velocity.";
        dampening: f32 = "0", Kind::Number(0.0, 1.0), true,
            "What the gradient loses on its way into the velocity: its factor there is `1 - dampening`.";
        nesterov: bool = "false", Kind::Flag, false,
            "Whether momentum is Nesterov's, which needs a momentum and no dampening.";
        weight_decay: f32 = "1e-4", Kind::Number(0.0, 1e3), false,
            "Factor of the parameter that is added to its gradient.";
    }
}

impl Rule for SgdAttrs {
    const NAME: &'static str = "sgd";
    const QUOTED: &'static str = "`sgd`";
    const KERNEL: &'static str = "sgd_update";
    const ABOUT: &'static str = "Stochastic gradient descent with momentum, as PyTorch's `SGD`. Momentum and weight decay are those of He et al. 2015.";
    const RATE: &'static str = "0.1";
    const STATE: &'static [&'static str] = &["velocity"];
    /// Decay, velocity, step: a multiplication and an addition each.
    const FLOPS: u64 = 6;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        SgdAttrs { weight_decay, ..self }
    }

    fn state_touched(&self) -> u64 {
        u64::from(self.momentum != 0.0)
    }

    fn fault(&self) -> Option<[&'static str; 2]> {
        nesterov_fault(self.nesterov, self.momentum, self.dampening)
    }
}

/// What Nesterov's momentum asks for.
pub(super) fn nesterov_fault(nesterov: bool, momentum: f32, dampening: f32) -> Option<[&'static str; 2]> {
    (nesterov && (momentum == 0.0 || dampening != 0.0)).then_some([
        "`nesterov` needs a momentum and no dampening",
        "write `momentum: 0.9` and no `dampening`, or take `nesterov` out",
    ])
}
