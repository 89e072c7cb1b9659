//! Where a network branches and comes together again: what stands between two maps that everything passes through is a layer or a
//! unit.

use crate::fault::{Fault, Result};
use crate::flat::{Flat, Id, Op};

/// What becomes a unit, with the layers that belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    /// The map that it begins with.
    pub(crate) entry: Id,
    /// Layers between that and where it branches.
    pub(crate) before: Vec<Id>,
    /// The map that is read by several.
    pub(crate) fork: Id,
    /// Where all comes together. What is inside has indices between the two.
    pub(crate) join: Id,
    /// Layers behind it.
    pub(crate) after: Vec<Id>,
}

impl Raw {
    /// The map that it ends with.
    pub(crate) fn end(&self) -> Id {
        self.after.last().copied().unwrap_or(self.join)
    }
}

/// The network: layers, units, layers.
#[derive(Debug)]
pub(crate) struct Spine {
    pub(crate) stem: Vec<Id>,
    pub(crate) units: Vec<Raw>,
    pub(crate) head: Vec<Id>,
}

/// Finds the units. Each takes the normalisations and activations behind it that all of them have.
pub(crate) fn find(flat: &Flat) -> Result<Spine> {
    let cuts = cuts(flat);
    let mut between: Vec<Vec<Id>> = vec![Vec::new()];
    let mut blocks: Vec<(Id, Id)> = Vec::new();
    for pair in cuts.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        if flat.nodes[to].inputs == [from] {
            between.last_mut().expect("begins with one").push(to);
        } else {
            blocks.push((from, to));
            between.push(Vec::new());
        }
    }
    if !blocks.iter().any(|&(_, join)| matches!(flat.nodes[join].op, Op::Add | Op::Concat)) {
        return Err(Fault::file("no unit was found: no map is added to what was computed of it")
            .help("specs are of residual networks"));
    }
    let common = common(flat, &between[1..]);
    let mut units: Vec<Raw> = Vec::new();
    let mut layers = between.into_iter();
    let stem = layers.next().unwrap_or_default();
    let mut head = Vec::new();
    let mut before = Vec::new();
    for ((fork, join), mut behind) in blocks.into_iter().zip(layers) {
        let rest = behind.split_off(common);
        let entry = before.first().map_or(fork, |&first: &Id| flat.nodes[first].inputs[0]);
        units.push(Raw { entry, before: std::mem::replace(&mut before, rest), fork, join, after: behind });
        head.clone_from(&before);
    }
    let mut spine = Spine { stem, units, head };
    take_from_stem(flat, &mut spine);
    Ok(spine)
}

/// Maps that every way from the image to the result passes through.
fn cuts(flat: &Flat) -> Vec<Id> {
    let mut last_use: Vec<Id> = (0..flat.nodes.len()).collect();
    for (id, node) in flat.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| last_use[input] = id);
    }
    let mut reach = 0;
    let mut cuts = Vec::new();
    for (id, &last) in last_use.iter().enumerate() {
        if reach <= id {
            cuts.push(id);
        }
        reach = reach.max(last);
    }
    cuts
}

/// Whether a layer neither moves pixels nor mixes channels.
pub(crate) fn is_light(op: &Op) -> bool {
    matches!(op, Op::Norm { .. } | Op::Activate(_))
}

/// How many normalisations and activations all these begin with.
fn common(flat: &Flat, lists: &[Vec<Id>]) -> usize {
    let Some(first) = lists.first() else { return 0 };
    let alike = |&at: &usize| {
        let op = &flat.nodes[first[at]].op;
        is_light(op) && lists.iter().all(|list| list.get(at).is_some_and(|&id| flat.nodes[id].op == *op))
    };
    (0..first.len()).take_while(alike).count()
}

/// Layers that other units have in front of where they branch, the first one gets from the stem.
fn take_from_stem(flat: &Flat, spine: &mut Spine) {
    let ops = |ids: &[Id]| ids.iter().map(|&id| flat.nodes[id].op.clone()).collect::<Vec<_>>();
    let Some((first, rest)) = spine.units.split_first_mut() else { return };
    let changes = flat.nodes[first.fork].shape != flat.nodes[first.join].shape;
    let light =
        |raw: &&Raw| !raw.before.is_empty() && raw.before.iter().all(|&id| is_light(&flat.nodes[id].op));
    let Some(wanted) = rest.iter().find(light).map(|raw| ops(&raw.before)) else { return };
    if changes && ops(&spine.stem).ends_with(&wanted) {
        first.before = spine.stem.split_off(spine.stem.len() - wanted.len());
        first.entry = flat.nodes[first.before[0]].inputs[0];
    }
}
