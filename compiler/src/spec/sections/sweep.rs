//! The `sweep:` section: over which values of which keys a training is repeated. The command line's `--sweep` is read by the same rules.

use crate::diagnostic::Diagnostic;
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Most values of one key.
pub const MOST_VALUES: usize = 1000;

/// The `sweep:` section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sweep {
    /// Keys with their values, in the order of writing; the last one varies fastest.
    pub over: Vec<Axis>,
    /// Of the variants, one in so many goes on after each round of successive halving (Jamieson and Talwalkar 2016).
    pub halving: Option<usize>,
    /// Epochs of the first round.
    pub min_epochs: Option<usize>,
}

/// A key and the values that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// As `--set` has it, or a short name of the command line.
    pub key: String,
    /// As `--set` has them, different from each other.
    pub values: Vec<String>,
}

/// Its keys.
pub const SWEEP: Section = Section {
    what: "`sweep`",
    keys: &[
        Key::required(
            "over",
            Shape::Axes,
            "{train.seed: 0..4}",
            "Keys as `--set` has them, or short: `lr`, `epochs`, `batch_size`, `seed`, `dtype`. Each has a list of values, or a range of \
             whole numbers, both ends included: `0..4` is five.",
        ),
        Key::new(
            "halving",
            Shape::Count(2, 100),
            "Successive halving: after each round one point in so many goes on, for so many times the epochs.",
        ),
        Key::new("min_epochs", Shape::Count(1, 1_000_000), "Epochs of the first round of halving.")
            .default_is("so few that the last round has one point"),
    ],
};

/// Reads the section.
pub(crate) fn read(reader: &mut Reader<'_>, node: &Node) -> Sweep {
    let mut sweep = Sweep::default();
    let fields = reader.fields(node, &SWEEP).unwrap_or_default();
    let over = fields.iter().find(|entry| entry.key == "over");
    if over.is_none() && matches!(node.kind, Kind::Map(_)) {
        reader.missing(Some(node), node.top(), SWEEP.what, SWEEP.key("over"));
    }
    for entry in &fields {
        let (value, what) = (&entry.value, format!("`{}`", entry.key));
        match entry.key.as_str() {
            "over" => sweep.over = axes(reader, value),
            "halving" => sweep.halving = reader.count(value, &what, SWEEP.count("halving")),
            _ => sweep.min_epochs = reader.count(value, &what, SWEEP.count("min_epochs")),
        }
    }
    let idle = fields.iter().find(|entry| entry.key == "min_epochs" && sweep.halving.is_none());
    if let Some(entry) = idle.filter(|_| fields.iter().all(|entry| entry.key != "halving")) {
        let fault = Diagnostic::error("`min_epochs` has no effect", entry.span, "there is no `halving`");
        reader.fault(fault.help("write `halving: 3` beside it, or take it out"));
    }
    sweep
}

fn axes(reader: &mut Reader<'_>, node: &Node) -> Vec<Axis> {
    let Some(entries) = reader.entries(node, "`over`") else { return Vec::new() };
    if entries.is_empty() {
        reader.fault(Diagnostic::error("`over` names no key", node.span, "nothing to sweep over"));
    }
    entries.iter().filter_map(|entry| axis(reader, entry)).collect()
}

fn axis(reader: &mut Reader<'_>, entry: &Entry) -> Option<Axis> {
    let texts: Vec<String> = match &entry.value.kind {
        Kind::List(items) => items.iter().map(Node::flow).collect(),
        Kind::Scalar { .. } if !entry.value.is_empty() => vec![entry.value.flow()],
        Kind::Scalar { .. } | Kind::Map(_) => {
            reader.wrong(&entry.value, &format!("`{}`", entry.key), "a list of values, or a range as 0..4");
            return None;
        }
    };
    match Axis::new(&entry.key, &texts) {
        Ok(axis) => Some(axis),
        Err(reason) => {
            let fault = format!("`{}` cannot be swept over these values", entry.key);
            reader.fault(Diagnostic::error(fault, entry.value.span, reason));
            None
        }
    }
}

impl Axis {
    /// A key with its values, ranges written out.
    ///
    /// # Errors
    /// Why these are no values of a sweep: none, too many, one twice, a range that runs backwards.
    pub fn new(key: &str, texts: &[String]) -> Result<Axis, String> {
        let mut values: Vec<String> = Vec::new();
        for text in texts {
            match range(text)? {
                Some(numbers) => values.extend(numbers),
                None => values.push(text.clone()),
            }
            if values.len() > MOST_VALUES {
                return Err(format!("there are more than {MOST_VALUES}"));
            }
        }
        if values.is_empty() {
            return Err("there are none".to_owned());
        }
        let twice = values.iter().enumerate().find(|(place, value)| values[..*place].contains(value));
        match twice {
            Some((_, value)) => Err(format!("`{value}` is there twice")),
            None => Ok(Axis { key: key.to_owned(), values }),
        }
    }
}

/// The whole numbers of `0..4`, both ends included; `None` where a text is no range.
fn range(text: &str) -> Result<Option<Vec<String>>, String> {
    let ends = text.split_once("..").map(|(from, to)| (from.trim().parse::<i64>(), to.trim().parse::<i64>()));
    let Some((Ok(from), Ok(to))) = ends else { return Ok(None) };
    match to.checked_sub(from) {
        None | Some(..0) => Err(format!("`{text}` runs backwards: the lower end comes first")),
        Some(more) if more >= MOST_VALUES as i64 => Err(format!("`{text}` is more than {MOST_VALUES}")),
        Some(_) => Ok(Some((from..=to).map(|number| number.to_string()).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_both_ends() {
        let axis = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            Axis::new("seed", &texts).map(|axis| axis.values.join(" "))
        };
        assert_eq!(axis(&["0..4"]).as_deref(), Ok("0 1 2 3 4"));
        assert_eq!(axis(&["-1..1", "7"]).as_deref(), Ok("-1 0 1 7"));
        assert_eq!(axis(&["3..3"]).as_deref(), Ok("3"));
        assert_eq!(axis(&["./a..b", "0.5..2"]).as_deref(), Ok("./a..b 0.5..2"), "no whole numbers");
        for wrong in [&["4..0"][..], &["0..1000"], &["1", "0..2"], &[]] {
            assert!(axis(wrong).is_err(), "{wrong:?}");
        }
    }
}
