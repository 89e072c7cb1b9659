//! Which feature maps the backward pass computes again, instead of finding them kept.

use std::collections::BTreeMap;
use std::fmt;

use super::origin::Part;

/// How much of a part of the network is computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// What takes a pass over memory and no more: normalisations, activations, sums. What convolutions make is kept.
    Light,
    /// All maps that no other part reads: what is kept of a unit is its result.
    Full,
}

/// `light`
impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Depth::Light => "light",
            Depth::Full => "full",
        })
    }
}

/// What the names of nodes begin with that are computed again, before that of the node.
pub const AGAIN: &str = "again.";

/// The parts that are computed again; of those that are not named, everything is kept.
pub type Recompute = BTreeMap<Part, Depth>;
