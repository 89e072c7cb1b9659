//! Published findings about residual networks, as warnings: the spec compiles, but somebody measured that another one
//! does better. Each rule is a function in a module of its own, listed in [`RULES`] with the paper that it comes from.
//!
//! Rules about training speak only of specs that say how they are trained.

mod accumulation;
mod bf16_channels;
mod identity;
mod norm_bias;
mod norm_decay;
mod norm_momentum;
mod one_value;
mod pixels;
mod shortcut;
mod stem;
mod subject;
mod warmup;
mod zero_init;

use crate::diagnostic::Diagnostic;
use crate::spec::train::By;
use crate::spec::train::beyond_the_end;

pub use subject::Subject;

/// A published finding.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `norm-decay`
    pub name: &'static str,
    /// Who found it, and where.
    pub source: &'static str,
    check: fn(&Subject<'_>) -> Vec<Diagnostic>,
}

/// All rules, in the order of their warnings.
pub const RULES: &[Rule] = &[
    Rule {
        name: "spec",
        source: "what the spec says itself",
        check: |subject| subject.spec.warnings.clone(),
    },
    Rule {
        name: "stem-for-large-images",
        source: "He et al. 2015, Deep Residual Learning, section 4.2",
        check: stem::check,
    },
    Rule {
        name: "multiplicative-shortcut",
        source: "He et al. 2016, Identity Mappings in Deep Residual Networks, section 3, table 1",
        check: shortcut::check,
    },
    Rule {
        name: "no-identity",
        source: "He et al. 2016, Identity Mappings in Deep Residual Networks, sections 3.1 and 4.1, tables 1 and 2",
        check: identity::check,
    },
    Rule {
        name: "no-zero-init",
        source: "Goyal et al. 2017, Accurate, Large Minibatch SGD, section 5.1; He et al. 2018, Bag of Tricks, section 3.1",
        check: zero_init::check,
    },
    Rule {
        name: "norm-decay",
        source: "He et al. 2018, Bag of Tricks for Image Classification, section 3.1",
        check: norm_decay::check,
    },
    Rule {
        name: "no-warmup",
        source: "Goyal et al. 2017, Accurate, Large Minibatch SGD, section 2.2",
        check: warmup::check,
    },
    Rule {
        name: "one-value",
        source: "PyTorch, torch.nn.functional.batch_norm: expected more than 1 value per channel when training",
        check: one_value::check,
    },
    Rule {
        name: "norm-momentum",
        source: "PyTorch, torch.nn.BatchNorm2d: the note on its momentum",
        check: norm_momentum::check,
    },
    Rule {
        name: "norm-bias",
        source: "Ioffe and Szegedy 2015, Batch Normalization, section 3.2",
        check: norm_bias::check,
    },
    Rule {
        name: "pixel-statistics",
        source: "PyTorch, torchvision.transforms.Normalize: of images that `ToTensor` has scaled to 0..1",
        check: pixels::statistics,
    },
    Rule {
        name: "augmentation-beyond-image",
        source: "He et al. 2015, Deep Residual Learning, section 4.2; DeVries and Taylor 2017, Cutout, section 4",
        check: pixels::augmentation,
    },
    Rule {
        name: "bf16-channels",
        source: "NVIDIA, Deep Learning Performance: Tensor Core requirements",
        check: bf16_channels::check,
    },
];

/// A warning and the rule that gave it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// What it says, and where.
    pub diagnostic: Diagnostic,
}

/// What only the number of the training's images shows: batches of one image, schedules in steps that end before they have an
/// effect. It is told before the first step.
pub fn before_training(subject: &Subject<'_>, images: usize) -> Vec<Diagnostic> {
    let train = &subject.spec.train;
    let steps = train.updates(images).saturating_mul(train.epochs);
    let mut warnings = one_value::in_training(subject, images);
    warnings.extend(beyond_the_end(train, &subject.spec.keys, By::Step, steps));
    warnings.extend(accumulation::beyond_the_epoch(subject, images));
    warnings
}

/// Asks all rules.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let ask = |rule: &'static Rule| {
        (rule.check)(subject).into_iter().map(move |diagnostic| Finding { rule, diagnostic })
    };
    RULES.iter().flat_map(ask).collect()
}

#[cfg(test)]
mod tests;
