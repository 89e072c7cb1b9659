//! The keys of one section with their values, those left out as the table has them by default.

use super::node::{Entry, Node};
use super::read::Reader;
use super::shape::{Key, Section};

/// A section as it was written.
pub struct Fields<'n> {
    section: &'static Section,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    /// The entries of a map. Where there is no map, or it is none, all keys count as left out.
    pub fn read(reader: &mut Reader<'_>, node: Option<&'n Node>, section: &'static Section) -> Self {
        let entries = node.and_then(|node| reader.fields(node, section)).unwrap_or_default();
        Fields { section, entries }
    }

    /// The value under a key of the section.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    fn key(&self, key: &str) -> (&'static Key, Option<&'n Node>, String) {
        (self.section.key(key), self.get(key), format!("`{key}`"))
    }

    /// A whole number; after a fault 0.
    pub fn count(&self, reader: &mut Reader<'_>, key: &str) -> usize {
        match self.key(key) {
            (key, None, _) => key.default.read(),
            (key, Some(node), what) => reader.count(node, &what, key.count()).unwrap_or_default(),
        }
    }

    /// A number; after a fault 0.
    pub fn number(&self, reader: &mut Reader<'_>, key: &str) -> f32 {
        match self.key(key) {
            (key, None, _) => key.default.read(),
            (key, Some(node), what) => reader.number(node, &what, key.number()).unwrap_or_default(),
        }
    }

    /// `true` or `false`; after a fault `false`.
    pub fn flag(&self, reader: &mut Reader<'_>, key: &str) -> bool {
        match self.key(key) {
            (key, None, _) => key.default.read(),
            (_, Some(node), what) => reader.boolean(node, &what).unwrap_or_default(),
        }
    }

    /// One of the words that may stand under a key; after a fault the default. Another word is reported as an unknown `kind`.
    pub fn word(&self, reader: &mut Reader<'_>, key: &str, kind: &str) -> &'static str {
        let (key, node, what) = self.key(key);
        let Some(word) = node.and_then(|node| reader.text(node, &what)) else { return key.default.text() };
        let known = key.words();
        let found = known.iter().find(|&&known| known == word);
        if let (None, Some(node)) = (found, node) {
            reader.unknown(kind, word, node.span, known);
        }
        found.copied().unwrap_or_else(|| key.default.text())
    }
}
