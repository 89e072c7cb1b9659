//! YAML's merge keys: `{<<: *small, stride: 2}` has the entries of `*small`, those aside that it writes itself. Of a list of
//! maps, the first that has a key gives it.

use super::cut::Pair;
use super::node::{Entry, Kind, Node};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// The key.
const KEY: &str = "<<";

/// Whether a key is the merge key: in quotes it is a name.
pub fn is_merge(pair: &Pair) -> bool {
    pair.key.plain() == Some(KEY)
}

/// Adds what the merge key at a place stands for, where the map has no such key.
pub fn add(entries: &mut Vec<Entry>, key: Span, value: Node, faults: &mut Vec<Diagnostic>) {
    match value.kind {
        Kind::Map(merged) => {
            for entry in merged {
                if !entries.iter().any(|known| known.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
        Kind::List(maps) if maps.iter().all(|map| !matches!(map.kind, Kind::List(_))) => {
            maps.into_iter().for_each(|map| add(entries, key, map, faults));
        }
        Kind::List(_) | Kind::Scalar { .. } => {
            let found = format!("this is {}", value.describe());
            let fault = Diagnostic::error("`<<` takes over the keys of maps", key, "these are none");
            faults.push(
                fault
                    .label(value.span, found)
                    .help("write `<<: *name`, or `<<: [*one, *two]`, with the anchors of maps"),
            );
        }
    }
}
