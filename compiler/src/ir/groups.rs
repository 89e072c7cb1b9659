//! Groups of parameters: which are trained with another rate or another weight decay, and which are not trained at all.

use serde::{Deserialize, Serialize};

use super::persistent::Role;

/// What a training says of its parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Groups {
    /// In order: of each setting the last rule that names it holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<GroupRule>,
    /// Factor of the rate from each layer to the one before it; a unit counts as one layer (BEiT, Bao et al. 2022; timm's `layer_decay`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f32>,
    /// Patterns of what is not trained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Factor of the rate of all but the head; at 0 they are not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_lr: Option<f32>,
}

/// What holds for the parameters that a pattern matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRule {
    /// See [`matches()`].
    pub pattern: String,
    /// Factor of the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_scale: Option<f32>,
    /// In place of the optimizer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f32>,
}

/// A trained parameter, as patterns see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// `stage1.unit0.conv1.weight`
    pub name: String,
    /// What it is.
    pub role: Role,
}

/// How a parameter is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Treatment {
    /// Not at all.
    pub frozen: bool,
    /// Factor of the rate.
    pub lr_scale: f32,
    /// Weight decay in place of the optimizer's.
    pub weight_decay: Option<f32>,
}

/// Patterns that stand for kinds of parameters.
pub const KINDS: [&str; 3] = ["norm", "bias", "head"];

impl Groups {
    /// Whether all parameters are trained alike.
    pub fn is_none(&self) -> bool {
        *self == Groups::default()
    }

    /// How each of a network's parameters is trained; they are in the order of the network.
    pub fn treat(&self, parameters: &[Parameter]) -> Vec<Treatment> {
        let (head, layers) = (head(parameters), layers(parameters));
        let last = layers.last().copied().unwrap_or(0);
        let treat = |(parameter, layer): (&Parameter, &usize)| {
            let is = |pattern: &str| matches(pattern, parameter, &head);
            let of_head = in_part(&head, &parameter.name);
            let rules = self.rules.iter().filter(|rule| is(&rule.pattern));
            let (mut lr_scale, mut weight_decay) = (1.0, None);
            for rule in rules {
                lr_scale = rule.lr_scale.unwrap_or(lr_scale);
                weight_decay = rule.weight_decay.or(weight_decay);
            }
            let decay = self.layer_decay.map_or(1.0, |decay| decay.powi((last - layer) as i32));
            let backbone = self.backbone_lr.filter(|_| !of_head).unwrap_or(1.0);
            Treatment {
                frozen: backbone == 0.0 || self.freeze.iter().any(|pattern| is(pattern)),
                lr_scale: lr_scale * decay * backbone,
                weight_decay,
            }
        };
        parameters.iter().zip(&layers).map(treat).collect()
    }
}

/// Whether a pattern matches a parameter: alternatives with `|` between them, each a kind (`norm`: scales and shifts of normalisations;
/// `bias`: biases of convolutions and linear layers; `head`: the last linear layer), or a name in which `*` stands for anything, of the
/// parameter or of what it belongs to: `stage1` is all of that stage.
pub fn matches(pattern: &str, parameter: &Parameter, head: &str) -> bool {
    alternatives(pattern).any(|alternative| match alternative {
        "norm" => matches!(parameter.role, Role::NormScale | Role::NormShift),
        "bias" => parameter.role == Role::Bias,
        "head" => in_part(head, &parameter.name),
        glob => {
            let ends = parameter.name.match_indices('.').map(|(at, _)| at).chain([parameter.name.len()]);
            ends.into_iter().any(|end| glob_matches(glob.as_bytes(), &parameter.name.as_bytes()[..end]))
        }
    })
}

/// The parts of a pattern.
pub fn alternatives(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('|').map(str::trim)
}

/// The path of the last linear layer; of the last convolution where there is none.
pub fn head(parameters: &[Parameter]) -> String {
    let last = |role| parameters.iter().rfind(|parameter| parameter.role == role);
    let layer = last(Role::LinearWeight).or_else(|| last(Role::ConvWeight));
    layer.and_then(|layer| layer.name.rsplit_once('.')).map_or_else(String::new, |(path, _)| path.to_owned())
}

/// Whether a parameter is of the part with that path.
pub fn in_part(part: &str, name: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'))
}

/// The layer of each parameter, from 0: units, and what stands outside of stages, count as one each.
fn layers(parameters: &[Parameter]) -> Vec<usize> {
    let mut seen: Vec<String> = Vec::new();
    let layer = |parameter: &Parameter| {
        let mut path = parameter.name.split('.');
        let (first, second) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let layer = if second.starts_with("unit") { format!("{first}.{second}") } else { first.to_owned() };
        seen.iter().position(|known| *known == layer).unwrap_or_else(|| {
            seen.push(layer);
            seen.len() - 1
        })
    };
    parameters.iter().map(layer).collect()
}

/// `*` stands for any bytes, or none.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| glob_matches(rest, &name[skipped..])),
        Some((first, rest)) => {
            name.split_first().is_some_and(|(n, name)| n == first && glob_matches(rest, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Vec<Parameter> {
        let parameter = |(name, role): (&str, Role)| Parameter { name: name.to_owned(), role };
        let all = [
            ("stem.conv1.weight", Role::ConvWeight),
            ("stem.bn1.weight", Role::NormScale),
            ("stage1.unit0.conv1.weight", Role::ConvWeight),
            ("stage10.unit0.conv1.bias", Role::Bias),
            ("head.linear1.weight", Role::LinearWeight),
            ("head.linear1.bias", Role::Bias),
        ];
        all.into_iter().map(parameter).collect()
    }

    fn matched(pattern: &str) -> Vec<usize> {
        let (network, head) = (network(), head(&network()));
        (0..network.len()).filter(|&i| matches(pattern, &network[i], &head)).collect()
    }

    #[test]
    fn patterns_are_kinds_parts_and_globs() {
        assert_eq!(matched("norm|bias"), [1, 3, 5]);
        assert_eq!(matched("stage1"), [2]);
        assert_eq!(matched("stage1*"), [2, 3]);
        assert_eq!(matched("*.weight"), [0, 1, 2, 4]);
        assert_eq!(matched("*.conv1"), [0, 2, 3]);
        assert_eq!(matched("head"), [4, 5]);
        assert_eq!(matched("head.linear1.bias | stem"), [0, 1, 5]);
        assert_eq!(matched("stag"), [0; 0]);
    }

    #[test]
    fn rates_fall_from_the_head_to_the_stem() {
        let groups = Groups { layer_decay: Some(0.5), ..Groups::default() };
        let rates: Vec<f32> = groups.treat(&network()).iter().map(|treatment| treatment.lr_scale).collect();
        assert_eq!(rates, [0.125, 0.125, 0.25, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn later_rules_win_and_the_backbone_is_slower_or_still() {
        let rule = |pattern: &str, lr_scale, weight_decay| GroupRule {
            pattern: pattern.into(),
            lr_scale,
            weight_decay,
        };
        let rules = vec![
            rule("*", Some(2.0), Some(0.1)),
            rule("norm", None, Some(0.0)),
            rule("head", Some(4.0), None),
        ];
        let groups =
            Groups { rules, backbone_lr: Some(0.25), freeze: vec!["stem.conv1".into()], ..Groups::default() };
        let found: Vec<_> =
            groups.treat(&network()).iter().map(|t| (t.frozen, t.lr_scale, t.weight_decay)).collect();
        let expected = [
            (true, 0.5, Some(0.1)),
            (false, 0.5, Some(0.0)),
            (false, 0.5, Some(0.1)),
            (false, 0.5, Some(0.1)),
            (false, 4.0, Some(0.1)),
            (false, 4.0, Some(0.1)),
        ];
        assert_eq!(found, expected);
        let head = Groups { backbone_lr: Some(0.0), ..Groups::default() };
        let frozen: Vec<bool> = head.treat(&network()).iter().map(|treatment| treatment.frozen).collect();
        assert_eq!(frozen, [true, true, true, true, false, false]);
    }
}
