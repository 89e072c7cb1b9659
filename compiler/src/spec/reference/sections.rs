//! The keys of a spec, section by section.

use std::fmt::Write;

use super::{notes, words};
use crate::spec::sections::top::SPEC;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

/// Writes the whole spec, then each section in it.
pub(super) fn write(out: &mut String) {
    heading(out, "", "The keys of a spec");
    table(out, &SPEC);
    inner(out, "", &SPEC);
}

fn heading(out: &mut String, path: &str, title: &str) {
    let level = if path.contains('.') { "###" } else { "##" };
    writeln!(out, "\n{level} {title}\n").expect("a string takes all that is written");
    out.push_str(notes::of(path));
}

/// The sections under the keys of a section, in depth.
fn inner(out: &mut String, path: &str, section: &Section) {
    for key in section.keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        under(out, &path, &key.shape);
    }
}

fn under(out: &mut String, path: &str, shape: &Shape) {
    match shape {
        Shape::Section(section) => {
            heading(out, path, &format!("`{path}`"));
            table(out, section);
            inner(out, path, section);
        }
        Shape::Choice(choices) | Shape::Steps(choices) => {
            heading(out, path, &format!("`{path}`"));
            choices.iter().for_each(|choice| write_choice(out, choice));
        }
        Shape::List(item, ..) => under(out, path, item),
        // Groups of stages and lists of groups have one section.
        Shape::Any(shapes) => {
            if let Some(shape) = shapes.iter().find(|shape| matches!(shape, Shape::Section(_))) {
                under(out, path, shape);
            }
        }
        Shape::Count(..)
        | Shape::Number(..)
        | Shape::Flag
        | Shape::Name
        | Shape::Text
        | Shape::Bytes
        | Shape::Bound
        | Shape::Path
        | Shape::Language
        | Shape::Word(_)
        | Shape::WordOrLayers(_)
        | Shape::Formula(..)
        | Shape::Units
        | Shape::Axes
        | Shape::Anything => {}
    }
}

fn write_choice(out: &mut String, choice: &Choice) {
    writeln!(out, "\n**`{}`** {}", choice.name, choice.about).expect("a string takes all that is written");
    if !choice.settings.keys.is_empty() {
        out.push('\n');
        table(out, &choice.settings);
    }
}

fn table(out: &mut String, section: &Section) {
    out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for key in section.keys {
        let Key { name, about, shape, .. } = key;
        writeln!(out, "| `{name}` | {} | {} | {about} |", words::shape(shape), words::absence(key))
            .expect("a string takes all that is written");
    }
}
