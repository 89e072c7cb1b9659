//! What a table of names is, and how it is read.

use crate::network::{Network, Wanted};
use crate::pattern::rename;

/// A program's names.
#[derive(Debug)]
pub struct Dialect {
    /// What people call it on the command line.
    pub name: &'static str,
    /// Whose names these are.
    pub about: &'static str,
    /// One for each family of networks that it names in its own way.
    pub schemes: &'static [Scheme],
}

/// Names of one family of networks.
#[derive(Debug)]
pub struct Scheme {
    /// The family: `resnet`.
    pub family: &'static str,
    /// A layer's place (see [`Wanted::place`]), or a pattern of it, and its name there; the first that fits counts. Before a place
    /// may stand what must be true of the network: `deep:` that its stem has three convolutions, `pooled:` that shortcuts average
    /// pixels.
    pub rules: &'static [(&'static str, &'static str)],
}

impl Scheme {
    /// The name of a network's tensor; `None` where the scheme has none.
    pub fn name(&self, network: &Network, tensor: &Wanted) -> Option<String> {
        // The own dialect has no rules: its names are the network's.
        if self.rules.is_empty() {
            return Some(tensor.name.clone());
        }
        let rules = self.rules.iter().filter_map(|(place, name)| Some((condition(network, place)?, name)));
        let layer = rules.into_iter().find_map(|(place, name)| rename(place, name, &tensor.place))?;
        Some(format!("{layer}.{}", tensor.leaf))
    }
}

/// The place behind a condition that is true.
fn condition<'r>(network: &Network, rule: &'r str) -> Option<&'r str> {
    match rule.split_once(": ") {
        None => Some(rule),
        Some(("deep", place)) => (network.stem_convs == 3).then_some(place),
        Some(("pooled", place)) => network.pooled_shortcuts.then_some(place),
        Some(_) => None,
    }
}
