//! Kinds of values, ranges and defaults in words.

use crate::spec::default::Default;
use crate::spec::digits::grouped;
use crate::spec::language::layer::table::Kind;
use crate::spec::yaml::shape::{Key, Need, Shape};

/// `0.999`, `1e6`
fn real(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) { format!("{value:e}") } else { value.to_string() }
}

/// A whole number in a range. The largest ranges are no bounds to people.
fn whole(least: u64, most: u64) -> String {
    match most {
        most if most < u64::from(u32::MAX) => format!("whole number, {least} to {}", grouped(most)),
        _ => format!("whole number, {least} or more"),
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// What may stand under a key.
pub(super) fn shape(of: &Shape) -> String {
    match of {
        Shape::Count(least, most) => whole(*least, *most),
        Shape::Number(least, most) => format!("number, {} to {}", real(*least), real(*most)),
        Shape::Flag => "`true` or `false`".into(),
        Shape::Name => "up to 64 letters, digits, `_`, `-` and `.`".into(),
        Shape::Text => "text".into(),
        Shape::Bytes => "a size, as `4GiB` or `800MB`".into(),
        Shape::Bound => "a bound, as `< 5` or `<= 5`".into(),
        Shape::Path => "a path".into(),
        Shape::Language => "[unit language](#the-unit-language)".into(),
        Shape::Word(words) => quoted(words),
        Shape::WordOrLayers(_) => "a [rule](#shortcut-rules), or layers".into(),
        Shape::Formula(least, most) => format!("{}, or a formula", whole(*least, *most)),
        Shape::List(item, least, most) => {
            let many = match (*least, *most) {
                (least, Some(most)) if least == most => format!("list of {least}"),
                (0, None) => "list".into(),
                (least, None) => format!("list of {least} or more"),
                (least, Some(most)) => format!("list of {least} to {most}"),
            };
            format!("{many}: {}", shape(item))
        }
        Shape::Section(_) => "map (below)".into(),
        Shape::Choice(choices) | Shape::Steps(choices) => {
            let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
            quoted(&names)
        }
        Shape::Units => "map from signatures to bodies".into(),
        Shape::Axes => "map from keys to lists of values, or ranges".into(),
        Shape::Anything => "anything".into(),
        Shape::Any(shapes) => shapes.iter().map(shape).collect::<Vec<_>>().join(", or "),
    }
}

/// What an argument may be.
pub(super) fn kind(of: Kind) -> String {
    match of {
        Kind::Whole(least, most) => whole(least as u64, most as u64),
        Kind::Odd(least, most) => format!("odd number, {least} to {}", grouped(most as u64)),
        Kind::Real(least, most) => format!("number, {} to {}", real(least), real(most)),
        Kind::Flag => "flag".into(),
    }
}

/// What holds in absence.
pub(super) fn default(of: Default) -> String {
    match of {
        Default::Nothing => "none".into(),
        Default::Value(value) => format!("`{value}`"),
        Default::Told(words) => words.into(),
    }
}

/// What holds where a key is left out.
pub(super) fn absence(key: &Key) -> String {
    match key.need {
        Need::Always => "**needed**".into(),
        Need::UnlessList(_) | Need::Never => default(key.default),
    }
}
