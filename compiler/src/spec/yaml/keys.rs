//! Where the keys of a spec were written, for messages about values that were read long before.

use std::collections::BTreeMap;

use super::node::{Kind, Node};
use crate::source::Span;

/// The text of each value under a key, by path: `train.optimizer.sgd.lr`. An item of a list has its number for a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeySpans(BTreeMap<String, Span>);

impl KeySpans {
    /// All keys of a tree.
    pub(crate) fn of(tree: &Node) -> Self {
        let mut keys = KeySpans::default();
        keys.add("", tree);
        keys
    }

    fn add(&mut self, prefix: &str, node: &Node) {
        if let Kind::List(items) = &node.kind {
            for (index, item) in items.iter().enumerate() {
                self.add(&format!("{prefix}{index}."), item);
                self.0.insert(format!("{prefix}{index}"), item.span);
            }
        }
        let Kind::Map(entries) = &node.kind else { return };
        for entry in entries {
            let path = format!("{prefix}{}", entry.key);
            self.add(&format!("{path}."), &entry.value);
            self.0.insert(path, entry.value.span);
        }
    }

    /// The text of the value under a path; none where the key was left out.
    pub fn get(&self, path: &str) -> Option<Span> {
        self.0.get(path).copied()
    }

    /// The values that hold no others, with their paths, in the order of these.
    pub fn leaves(&self) -> impl Iterator<Item = (&str, Span)> {
        let holds = |path: &str| {
            let inner = format!("{path}.");
            self.0.range(inner.clone()..).next().is_some_and(|(next, _)| next.starts_with(&inner))
        };
        self.0.iter().filter(move |(path, _)| !holds(path)).map(|(path, &span)| (path.as_str(), span))
    }

    /// The value under a path or, where that is not written, of the nearest section around it that is.
    pub fn nearest(&self, path: &str) -> Option<Span> {
        let mut path = path;
        loop {
            if let Some(span) = self.get(path) {
                return Some(span);
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}
