//! Which branch of a unit is its shortcut, and which rule says what all of them are.

use crate::flat::{Flat, Id, Op};
use crate::spine::{Raw, is_light};
use crate::words::{self, Numbers};

/// A unit's shortcut: layers from where it branches to where it ends.
#[derive(Debug, Clone)]
pub(crate) struct Shortcut {
    /// Its layers; none of an identity.
    pub(crate) layers: Vec<Id>,
    /// The other branch.
    pub(crate) main: Id,
    /// Whether the unit's input has the shape of the sum.
    pub(crate) same: bool,
}

/// The shortcut of a unit that ends in a sum: of its two branches the one that does less.
pub(crate) fn find(flat: &Flat, raw: &Raw, uses: &[usize]) -> Option<Shortcut> {
    let node = &flat.nodes[raw.join];
    let (Op::Add, &[a, b]) = (&node.op, &node.inputs[..]) else { return None };
    let same = flat.nodes[raw.fork].shape == node.shape;
    let chains = [(a, b), (b, a)].into_iter().filter_map(|(end, main)| {
        let layers = chain(flat, raw.fork, end, uses)?;
        Some(Shortcut { layers, main, same })
    });
    chains.filter(|shortcut| shortcut.main != raw.fork).min_by_key(|shortcut| effort(flat, &shortcut.layers))
}

/// The layers of a branch that is nothing but layers after one another.
fn chain(flat: &Flat, fork: Id, end: Id, uses: &[usize]) -> Option<Vec<Id>> {
    let mut layers = Vec::new();
    let mut at = end;
    while at != fork {
        let node = &flat.nodes[at];
        if !words::is_layer(&node.op) || uses[at] != 1 {
            return None;
        }
        layers.push(at);
        at = node.inputs[0];
    }
    layers.reverse();
    Some(layers)
}

/// Convolutions count first, with their windows; then layers.
fn effort(flat: &Flat, layers: &[Id]) -> (usize, usize) {
    let window = |&id: &Id| match &flat.nodes[id].op {
        Op::Conv { attrs, .. } => 1 + attrs.kernel[0] * attrs.kernel[1],
        _ => 0,
    };
    (layers.iter().map(window).sum(), layers.len())
}

/// What a rule is made of: the shortcut of a unit that shows it, with the unit's stride.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    ops: Vec<Op>,
    stride: usize,
    out: usize,
}

/// The step between the pixels that a unit takes, by the sizes of its images.
fn stride(flat: &Flat, raw: &Raw) -> usize {
    let [_, from, _] = flat.nodes[raw.fork].shape;
    let [_, to, _] = flat.nodes[raw.join].shape;
    (1..=from).find(|stride| from.div_ceil(*stride) <= to).unwrap_or(1)
}

impl Rule {
    fn of(flat: &Flat, raw: &Raw, shortcut: &Shortcut) -> Self {
        let ops = shortcut.layers.iter().map(|&id| flat.nodes[id].op.clone()).collect();
        Rule { ops, stride: stride(flat, raw), out: flat.nodes[raw.join].shape[0] }
    }

    /// Whether this rule makes a unit's shortcut what it is.
    pub(crate) fn holds(&self, flat: &Flat, raw: &Raw, shortcut: &Shortcut) -> bool {
        let own = Rule::of(flat, raw, shortcut);
        let channels = flat.nodes[raw.fork].shape[0];
        self.ops.iter().filter_map(|op| self.at(op, &own, channels)).eq(own.ops.iter().cloned())
    }

    /// A layer of the rule in another unit; poolings with nothing to do are left out.
    fn at(&self, op: &Op, other: &Rule, channels: usize) -> Option<Op> {
        let steps = |stride: usize| self.stride > 1 && stride == self.stride;
        let step = |stride: [usize; 2]| if steps(stride[0]) { [other.stride; 2] } else { stride };
        Some(match op.clone() {
            Op::Conv { out, mut attrs, bias } => {
                attrs.stride = step(attrs.stride);
                Op::Conv { out: if out == self.out { other.out } else { out }, attrs, bias }
            }
            Op::MaxPool(mut attrs) => {
                attrs.stride = step(attrs.stride);
                return (attrs.stride != [1, 1]).then_some(Op::MaxPool(attrs));
            }
            Op::AvgPool(mut attrs) => {
                attrs.stride = step(attrs.stride);
                return (attrs.stride != [1, 1]).then_some(Op::AvgPool(attrs));
            }
            Op::PadChannels { .. } if other.out <= channels => return None,
            Op::PadChannels { before: 0, .. } => Op::PadChannels { out: other.out, before: 0 },
            Op::PadChannels { .. } => Op::PadChannels { out: other.out, before: (other.out - channels) / 2 },
            op => op,
        })
    }

    /// Whether zeros stand on both sides of the channels, which have none of their own in a rule.
    fn pads_around(&self) -> bool {
        let pad = |op: &Op| matches!(op, Op::PadChannels { before, .. } if *before > 0);
        self.ops.iter().any(pad)
    }

    /// As a spec writes it: a rule's name, or its layers.
    pub(crate) fn text(&self, eps: f32) -> String {
        match self.ops.as_slice() {
            [] => return "identity".to_owned(),
            [Op::Conv { attrs, bias: false, .. }, Op::Norm { eps: own }]
                if attrs.kernel == [1, 1]
                    && attrs.padding == [0, 0]
                    && attrs.groups == 1
                    && attrs.stride == [self.stride; 2]
                    && *own == eps =>
            {
                return "projection".to_owned();
            }
            _ if self.pads_around() => return "pad".to_owned(),
            _ => {}
        }
        let text = |op: &Op| {
            let mut numbers = Numbers::of(op);
            if words::out(op) == Some(self.out) {
                numbers.out = "out".to_owned();
            }
            if self.stride > 1 && numbers.stride == self.stride.to_string() {
                numbers.stride = "stride".to_owned();
            }
            words::layer(op, &numbers, eps)
        };
        self.ops.iter().map(text).collect::<Vec<_>>().join(" -> ")
    }
}

/// The rule that holds for the most of these units; of those the one with the most layers.
pub(crate) fn rule<'u>(flat: &Flat, units: impl Iterator<Item = (&'u Raw, &'u Shortcut)>) -> Option<Rule> {
    let units: Vec<_> = units.collect();
    let mut rules: Vec<Rule> = Vec::new();
    for (raw, shortcut) in &units {
        let rule = Rule::of(flat, raw, shortcut);
        if !rules.iter().any(|known| known.holds(flat, raw, shortcut) && known.ops.len() >= rule.ops.len()) {
            rules.push(rule);
        }
    }
    let count = |rule: &Rule| units.iter().filter(|(raw, own)| rule.holds(flat, raw, own)).count();
    let mut best: Option<(usize, Rule)> = None;
    for rule in rules {
        let here = count(&rule);
        if best.as_ref().is_none_or(|(most, known)| (here, rule.ops.len()) > (*most, known.ops.len())) {
            best = Some((here, rule));
        }
    }
    best.map(|(_, rule)| rule)
}

/// Whether only normalisations and activations stand in front of where a unit branches.
pub(crate) fn shares_activation(flat: &Flat, raw: &Raw) -> bool {
    !raw.before.is_empty() && raw.before.iter().all(|&id| is_light(&flat.nodes[id].op))
}
