//! Reads what a training says of groups of parameters, and checks it against the network's.

use super::config::TrainConfig;
use super::keys::{FINETUNE, GROUP, HEAD};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::suggest;
use crate::ir::groups::{GroupRule, Groups, KINDS, Parameter, alternatives, head, matches};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::keys::KeySpans;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;

/// The four keys of the section.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Groups {
    let rules = fields.get("groups").and_then(|node| reader.items(node, "`groups`"));
    let freeze = fields.get("freeze").and_then(|node| reader.items(node, "`freeze`"));
    let mut patterns = Vec::new();
    for item in freeze.unwrap_or_default() {
        patterns.extend(reader.text(item, "an item of `freeze`").map(str::to_owned));
    }
    Groups {
        rules: rules.unwrap_or_default().iter().filter_map(|node| rule(reader, node)).collect(),
        layer_decay: fields.get("layer_decay").map(|_| fields.number(reader, "layer_decay")),
        freeze: patterns,
        backbone_lr: fields.get("finetune").map(|node| finetune(reader, node)),
    }
}

fn rule(reader: &mut Reader<'_>, node: &Node) -> Option<GroupRule> {
    let fields = Fields::read(reader, Some(node), &GROUP);
    let number = |reader: &mut Reader<'_>, key: &str| fields.get(key).map(|_| fields.number(reader, key));
    let (lr_scale, weight_decay) = (number(reader, "lr_scale"), number(reader, "weight_decay"));
    let Some(pattern) = fields.get("match") else {
        reader.missing(Some(node), node.span, GROUP.what, GROUP.key("match"));
        return None;
    };
    if lr_scale.is_none() && weight_decay.is_none() {
        let fault = Diagnostic::error("the group says nothing of its parameters", node.span, "only `match`");
        reader.fault(fault.help("write `lr_scale: 0.1` or `weight_decay: 0` beside it"));
    }
    let pattern = reader.text(pattern, "`match`")?.to_owned();
    Some(GroupRule { pattern, lr_scale, weight_decay })
}

/// The factor of the backbone's rate.
fn finetune(reader: &mut Reader<'_>, node: &Node) -> f32 {
    match &node.kind {
        Kind::Scalar { text, .. } if text == HEAD => 0.0,
        Kind::Scalar { text, .. } => {
            reader.unknown("part to fine-tune", text, node.span, &[HEAD]);
            0.0
        }
        Kind::Map(_) | Kind::List(_) => {
            let fields = Fields::read(reader, Some(node), &FINETUNE);
            if fields.get("backbone_lr").is_none() {
                reader.missing(Some(node), node.span, FINETUNE.what, FINETUNE.key("backbone_lr"));
                return 0.0;
            }
            fields.number(reader, "backbone_lr")
        }
    }
}

/// Patterns that match no parameter, and a training of nothing.
pub fn check(train: &TrainConfig, keys: &KeySpans, parameters: &[Parameter]) -> Vec<Diagnostic> {
    let groups = &train.groups;
    let rules = (0..).zip(&groups.rules).map(|(i, rule)| (format!("train.groups.{i}.match"), &rule.pattern));
    let frozen = (0..).zip(&groups.freeze).map(|(i, pattern)| (format!("train.freeze.{i}"), pattern));
    let head = head(parameters);
    let mut faults = Vec::new();
    for (path, pattern) in rules.chain(frozen) {
        for part in alternatives(pattern) {
            if !parameters.iter().any(|parameter| matches(part, parameter, &head)) {
                let span = keys.nearest(&path).unwrap_or(crate::source::Span::NONE);
                let fault = Diagnostic::error(format!("`{part}` matches no parameter"), span, "no such part");
                faults.push(fault.help(suggest(part, &parts(parameters))));
            }
        }
    }
    let treated = groups.treat(parameters);
    if faults.is_empty() && !treated.is_empty() && treated.iter().all(|treatment| treatment.frozen) {
        let span = keys.nearest("train.freeze").unwrap_or(crate::source::Span::NONE);
        let fault = Diagnostic::error("nothing is left to train", span, "all parameters are frozen");
        faults.push(fault.help("take the part that is to learn out of `freeze`"));
    }
    faults
}

/// What patterns may name: kinds, and the first parts of paths.
fn parts(parameters: &[Parameter]) -> Vec<&str> {
    let mut parts = KINDS.to_vec();
    for parameter in parameters {
        let part = parameter.name.split('.').next().unwrap_or_default();
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}
