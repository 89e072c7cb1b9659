//! What several processes cannot do where each updates by its own gradients, and what has no effect then.

use super::super::config::TrainConfig;
use super::schedule::at;
use crate::diagnostic::Diagnostic;
use crate::ir::types::DType;
use crate::spec::yaml::keys::KeySpans;

/// What does not go together with updates that ranks make on their own.
pub(super) fn refused(train: &TrainConfig, keys: &KeySpans) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    if train.parallel.sync_every == 1 {
        return faults;
    }
    let mut refuse = |message: &str, (key, what): (&str, &str), why: &str, help: &str| {
        let fault = Diagnostic::error(message, at(keys, key), what);
        faults.push(fault.label(at(keys, "parallel.sync_every"), why).help(help));
    };
    if train.parallel.sync_bn {
        refuse(
            "`sync_bn` and `sync_every` contradict each other",
            ("parallel.sync_bn", "statistics of all processes are messages in every step"),
            "with this, processes tell each other nothing between two synchronisations",
            "take out one of the two; group normalisation needs no other images",
        );
    }
    if train.parallel.shard_optimizer {
        refuse(
            "`shard_optimizer` and `sync_every` contradict each other",
            ("parallel.shard_optimizer", "each process keeps a part of one optimizer's state"),
            "with this, each process updates all parameters by a state of its own",
            "take out one of the two",
        );
    }
    if train.scale().is_some() {
        refuse(
            "a scaled loss needs the gradients of all processes",
            ("precision", "the scale follows from the gradients, and skips updates"),
            "with this, each process would have a scale of its own, and other updates left out",
            "write `precision: bf16`, or take `sync_every` out",
        );
    }
    faults
}

/// What is sent as something else.
pub(super) fn idle(train: &TrainConfig, keys: &KeySpans) -> Option<Diagnostic> {
    if train.parallel.sync_every == 1 || train.parallel.wire == DType::F32 {
        return None;
    }
    let span = at(keys, "parallel.gradients");
    let warning = Diagnostic::warning("`gradients` has no effect", span, "no gradients are sent");
    let warning = warning.label(at(keys, "parallel.sync_every"), "weights are sent, in `f32`");
    Some(warning.help("take it out"))
}
