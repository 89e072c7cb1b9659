//! `key: ~` takes a setting away: one that the spec has from its base, or had itself before an override. What holds by
//! default holds then.

use super::node::{Kind, Node};
use super::shape::{Choice, Section, Shape};

/// Takes the keys of a section out that are `~`, and those of the sections in it.
pub fn take_away(node: &mut Node, section: &Section) {
    let Kind::Map(entries) = &mut node.kind else { return };
    // An unknown key stays: it is reported.
    entries.retain(|entry| !entry.value.is_null() || section.keys.iter().all(|key| key.name != entry.key));
    for entry in entries {
        if let Some(key) = section.keys.iter().find(|key| key.name == entry.key) {
            under(&mut entry.value, &key.shape);
        }
    }
}

fn under(node: &mut Node, shape: &Shape) {
    match (shape, &mut node.kind) {
        (Shape::Section(section), _) => take_away(node, section),
        (Shape::Choice(choices) | Shape::Steps(choices), Kind::Map(entries)) => {
            // `sgd: ~` is a choice without settings, not none.
            for entry in entries {
                settings(&mut entry.value, &entry.key, choices);
            }
        }
        (Shape::List(item, ..), Kind::List(items)) => items.iter_mut().for_each(|node| under(node, item)),
        (Shape::Units | Shape::Axes, Kind::Map(entries)) => entries.retain(|entry| !entry.value.is_null()),
        (Shape::Any(shapes), _) => shapes.iter().for_each(|shape| under(node, shape)),
        _ => {}
    }
}

fn settings(node: &mut Node, name: &str, choices: &[Choice]) {
    if let Some(choice) = choices.iter().find(|choice| choice.name == name) {
        take_away(node, &choice.settings);
    }
}
