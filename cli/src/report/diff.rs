//! Differences of two networks as a table.

use resnetc_compiler::diff::Difference;

use super::table::{Align, Table};
use super::units::grouped;

/// A row per difference; `a` and `b` head the columns of the two networks. In so many columns of a terminal, if it is one.
pub fn text(differences: &[Difference], a: &str, b: &str, width: Option<usize>) -> String {
    let columns = [("", Align::Left), ("where", Align::Left), (a, Align::Left), (b, Align::Left)];
    let mut table = Table::new(&columns);
    for difference in differences {
        let figure = |text: &str| text.parse().map_or(text.to_owned(), grouped);
        let counts = matches!(difference.aspect, "parameters" | "MACs");
        let cell = |text: &str| if counts { figure(text) } else { text.to_owned() };
        let columns = [
            wrapped(&places(&difference.places), ", "),
            wrapped(&cell(&difference.a), " -> "),
            wrapped(&cell(&difference.b), " -> "),
        ];
        for i in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
            let [places, a, b] = columns.each_ref().map(|lines| lines.get(i).cloned().unwrap_or_default());
            table.row([if i == 0 { difference.aspect.into() } else { String::new() }, places, a, b]);
        }
    }
    table.within(width)
}

/// Columns of a cell, where its parts let it be so narrow.
const WIDTH: usize = 48;

/// A list in lines, each but the last ending with what stands between its parts.
fn wrapped(text: &str, between: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in text.split_inclusive(between) {
        let line = lines.last_mut().expect("there is one from the start");
        if !line.is_empty() && line.chars().count() + part.trim_end().chars().count() > WIDTH {
            lines.push(part.to_owned());
        } else {
            line.push_str(part);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Neighbouring units of a stage as a range: `stage2.unit0-3, stage3.unit0`.
fn places(names: &[String]) -> String {
    let mut runs: Vec<(&str, Option<(usize, usize)>)> = Vec::new();
    for name in names {
        let unit =
            name.rsplit_once("unit").and_then(|(stage, unit)| Some((stage, unit.parse::<usize>().ok()?)));
        match (unit, runs.last_mut()) {
            (Some((stage, unit)), Some((last, Some((_, end))))) if *last == stage && *end + 1 == unit => {
                *end = unit
            }
            (Some((stage, unit)), _) => runs.push((stage, Some((unit, unit)))),
            (None, _) => runs.push((name, None)),
        }
    }
    let run = |(name, units): &(&str, Option<(usize, usize)>)| match units {
        None => (*name).to_owned(),
        Some((first, last)) if first == last => format!("{name}unit{first}"),
        Some((first, last)) => format!("{name}unit{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{places, wrapped};

    #[test]
    fn long_lists_are_wrapped_between_their_parts() {
        assert_eq!(wrapped("bn -> relu", " -> "), ["bn -> relu"]);
        let long = ["conv 3x3 p1"; 5].join(" -> ");
        let lines = ["conv 3x3 p1 -> conv 3x3 p1 -> conv 3x3 p1 ->", "conv 3x3 p1 -> conv 3x3 p1"];
        assert_eq!(wrapped(&long, " -> "), lines);
        assert_eq!(wrapped(&"x".repeat(90), " -> ").len(), 1);
    }

    #[test]
    fn neighbours_are_a_range() {
        let names = ["stem", "stage1.unit0", "stage1.unit1", "stage2.unit0", "stage2.unit2", "head"];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        assert_eq!(places(&names), "stem, stage1.unit0-1, stage2.unit0, stage2.unit2, head");
    }
}
