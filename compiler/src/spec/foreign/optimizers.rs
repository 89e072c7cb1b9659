//! Words for the settings of optimizers.

use super::word::{Word, near, none, same};

pub(super) const SGD: &[Word] = &[
    same(&["learningrate", "rate", "baselr", "initlr", "lr0", "stepsize"], "lr"),
    same(&["wd", "decay", "weightdecayrate"], "weight_decay"),
    near(
        &["l2", "l2reg", "l2regularization"],
        "weight_decay",
        "a penalty of `a` times the square of the weights is a weight decay of `2 * a`",
    ),
    same(&["usenesterov", "nesterovmomentum"], "nesterov"),
    same(&["mu", "beta", "momentumfactor"], "momentum"),
    near(
        &["bndecay", "normdecay", "bnweightdecay", "nobiasdecay", "biasdecay", "filterbiasandbn"],
        "decay_norm: false",
        "then normalisations and biases do not decay",
    ),
    none(&["beta1", "beta2", "betas", "eps"], "`adamw` has it, `sgd` has not"),
    none(&["maximize", "foreach", "fused", "differentiable"], "leave it out: nothing depends on it here"),
];

pub(super) const ADAMW: &[Word] = &[
    same(&["learningrate", "rate", "baselr", "initlr", "lr0", "stepsize"], "lr"),
    same(&["wd", "l2", "decay", "weightdecayrate"], "weight_decay"),
    near(&["betas", "beta"], "beta1: 0.9, beta2: 0.999", "each has a key"),
    same(&["b1"], "beta1"),
    same(&["b2"], "beta2"),
    same(&["epsilon", "epsilonhat"], "eps"),
    near(
        &["bndecay", "normdecay", "bnweightdecay", "nobiasdecay", "biasdecay"],
        "decay_norm: false",
        "then normalisations and biases do not decay",
    ),
    none(&["momentum", "nesterov", "dampening"], "`sgd` has it; `adamw` has `beta1` and `beta2`"),
    none(
        &["amsgrad", "maximize", "foreach", "fused", "capturable"],
        "leave it out: nothing depends on it here",
    ),
];

pub(super) const LARS: &[Word] = &[
    same(&["learningrate", "rate", "baselr", "initlr", "lr0"], "lr"),
    same(&["wd", "decay", "weightdecayrate"], "weight_decay"),
    same(&["trustcoefficient", "trust", "eta"], "trust_coeff"),
    same(&["epsilon"], "eps"),
    none(&["betas", "beta1", "beta2"], "`lamb` has it; `lars` has `momentum`"),
];

pub(super) const LION: &[Word] = &[
    same(&["learningrate", "rate", "baselr", "initlr", "lr0"], "lr"),
    same(&["wd", "decay", "weightdecayrate"], "weight_decay"),
    near(&["betas", "beta"], "beta1: 0.9, beta2: 0.99", "each has a key"),
    none(&["momentum", "nesterov", "dampening", "eps"], "`lion` has `beta1` and `beta2`"),
];

pub(super) const MUON: &[Word] = &[
    same(&["learningrate", "rate", "baselr", "initlr", "lr0", "muonlr"], "lr"),
    same(&["wd", "decay", "weightdecayrate"], "weight_decay"),
    same(&["mu", "beta", "muonmomentum"], "momentum"),
    same(&["auxlr", "adamlr", "scalarlr", "headlr", "fallbacklr"], "adamw_lr"),
    same(&["beta1", "adambeta1"], "adamw_beta1"),
    same(&["beta2", "adambeta2"], "adamw_beta2"),
    near(&["betas", "adambetas", "adamwbetas"], "adamw_beta1: 0.9, adamw_beta2: 0.95", "each has a key"),
    same(&["eps", "epsilon", "adameps"], "adamw_eps"),
    near(&["adamwweightdecay", "adamwd"], "weight_decay", "it is that of all; `groups` can give another one"),
    none(
        &["nssteps", "newtonschulzsteps", "nscoefficients", "coefficients"],
        "leave it out: there are five steps, by Jordan's coefficients",
    ),
    none(
        &["adjustlrfn", "adjustlr", "scalemode"],
        "leave it out: the step is scaled by `sqrt(max(1, out / (in * kh * kw)))`",
    ),
];
