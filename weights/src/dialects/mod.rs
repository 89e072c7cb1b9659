//! The naming schemes of other programs, one file each: tables from the place of a layer in a network to the name that the
//! program gives it. What follows the layer's name (`weight`, `bias`, `running_mean`, `running_var`) is the same in all of them.

mod cifar;
mod own;
mod timm;
mod torchvision;
mod transformers;

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

/// All of them, the likeliest first: of those that fit equally well, the first is taken.
pub const DIALECTS: &[Dialect] =
    &[own::DIALECT, torchvision::DIALECT, timm::DIALECT, cifar::DIALECT, transformers::DIALECT];

/// The dialect of a name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    DIALECTS.iter().find(|dialect| dialect.name == name)
}

/// All names, for messages.
pub fn names() -> String {
    DIALECTS.iter().map(|dialect| dialect.name).collect::<Vec<_>>().join(", ")
}

impl Dialect {
    /// Whether these are this program's own names.
    pub fn is_own(&self) -> bool {
        self.name == own::DIALECT.name
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_conditions_known() {
        for dialect in DIALECTS {
            assert_eq!(find(dialect.name).map(|found| found.name), Some(dialect.name));
            assert_ne!(dialect.name, "auto");
            for (place, _) in dialect.schemes.iter().flat_map(|scheme| scheme.rules) {
                let known = place.split_once(": ").is_none_or(|(word, _)| ["deep", "pooled"].contains(&word));
                assert!(known, "{}: {place}", dialect.name);
            }
        }
    }
}
