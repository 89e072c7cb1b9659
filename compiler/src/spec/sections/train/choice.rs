//! Values that are one of several by name, with settings.

use crate::source::Span;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Choice, Key};

/// One of a kind with its settings; where nothing is written, or something wrong, the one that the key has by default.
pub fn choose<'n>(
    reader: &mut Reader<'_>,
    node: Option<&'n Node>,
    key: &Key,
    known: &'static [Choice],
) -> (&'static Choice, Span, Option<&'n Node>) {
    let find = |name: &str| known.iter().find(|choice| choice.name == name);
    let default = find(key.default.text()).expect("the default is one of its kind");
    let chosen = node.and_then(|node| reader.choice(node, &format!("`{}`", key.name)));
    let Some((name, span, settings)) = chosen else { return (default, Span::NONE, None) };
    if let Some(choice) = find(name) {
        return (choice, span, settings);
    }
    let names: Vec<&str> = known.iter().map(|choice| choice.name).collect();
    reader.unknown(key.name, name, span, &names);
    (default, span, None)
}
