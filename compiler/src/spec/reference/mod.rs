//! The reference of the spec language, for people: written from the tables that the readers read by, with a few words and
//! an example beside each section. The document in `docs/language.md` is its output.

mod layers;
mod notes;
mod sections;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::Write;

use super::builtin;
use super::digits::grouped;
use super::language::functions::{self, Usage};
use super::language::variables::{self, Variable};
use super::language::{check, parse};
use super::limits::Limits;
use super::sections::init::DISTRIBUTIONS;
use super::sections::shortcut::RULES;
use crate::datasets;

/// The whole reference, in Markdown.
pub fn markdown() -> String {
    let mut out = notes::INTRODUCTION.to_owned();
    sections::write(&mut out);
    unit_language(&mut out);
    layers::write(&mut out);
    variables(&mut out);
    functions(&mut out);
    named(&mut out);
    limits(&mut out);
    out
}

fn unit_language(out: &mut String) {
    out.push_str(notes::UNIT_LANGUAGE);
    out.push_str("\n### Built-in units\n\n");
    out.push_str("They are written in the same language, and a unit of one's own may take their names.\n\n```yaml\nunits:\n");
    for line in builtin::UNITS.lines() {
        let line = if line.is_empty() { String::new() } else { format!("  {line}") };
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str("```\n");
}

/// A table of two columns.
fn pairs<'r>(out: &mut String, head: [&str; 2], rows: impl Iterator<Item = (String, &'r str)>) {
    writeln!(out, "| {} | {} |\n|---|---|", head[0], head[1]).expect("a string takes all that is written");
    for (name, about) in rows {
        writeln!(out, "| {name} | {about} |").expect("a string takes all that is written");
    }
}

fn variables(out: &mut String) {
    let row = |v: &Variable| (format!("`{}`", v.name), v.about);
    out.push_str("\n### Variables\n\nIn units, beside their parameters and bindings:\n\n");
    pairs(out, ["variable", "meaning"], variables::UNIT.iter().chain(variables::PLACE).map(row));
    out.push_str("\nIn `stem`, `transition` and `head`:\n\n");
    pairs(out, ["variable", "meaning"], variables::LAYERS.iter().map(row));
    out.push_str(
        "\nIn the layers of a shortcut rule, beside the place of the unit (`unit` to `depth` above):\n\n",
    );
    pairs(out, ["variable", "meaning"], variables::SHORTCUT.iter().map(row));
    out.push_str("\nIn the formulas under `filters`: the place of the unit. Everywhere:\n\n");
    pairs(out, ["variable", "meaning"], variables::CONSTANTS.iter().map(row));
}

fn functions(out: &mut String) {
    let row = |usage: &Usage| (format!("`{}`", usage.call), usage.about);
    out.push_str("\n### Functions\n\n");
    let maps = [&functions::CONCAT, &functions::SHORTCUT, &functions::SHORTCUT_OF_CASES];
    let all = functions::FUNCTIONS.iter().map(|function| &function.usage).chain(maps).map(row);
    pairs(out, ["function", "result"], all);
}

/// What sections call by a name: shortcut rules, distributions, compiled-in specs.
fn named(out: &mut String) {
    out.push_str("\n## Shortcut rules\n\n");
    out.push_str("In `always_project`, `projection` and the layers of a rule, a convolution takes its initial values from \
                  `init.conv`, and a normalisation is what `norm` says.\n\n");
    pairs(
        out,
        ["rule", "what `shortcut` becomes"],
        RULES.iter().map(|rule| (format!("`{}`", rule.name), rule.about)),
    );
    for rule in builtin::LAYERED_RULES {
        writeln!(out, "\nThe layers of `{}` are `{}`.", rule.name, rule.layers)
            .expect("a string takes all that is written");
    }
    out.push_str("\n## Data sets\n\n");
    pairs(
        out,
        ["data set", "what it holds"],
        datasets::DATASETS.iter().map(|set| (format!("`{}`", set.name), set.about)),
    );
    out.push_str("\n## Distributions\n\n");
    pairs(
        out,
        ["distribution", "values"],
        DISTRIBUTIONS.iter().map(|known| (format!("`{}`", known.call), known.about)),
    );
    out.push_str("\nA fan is one of two:\n\n");
    pairs(out, ["fan", "meaning"], variables::FANS.iter().map(|fan| (format!("`{}`", fan.name), fan.about)));
}

fn limits(out: &mut String) {
    out.push_str(notes::LIMITS);
    out.push_str("| limit | counts | at most |\n|---|---|---|\n");
    for (name, value, counted) in Limits::table() {
        writeln!(out, "| `{name}` | {counted} | {} |", grouped(value as u64))
            .expect("a string takes all that is written");
    }
    writeln!(
        out,
        "\nSome limits are fixed: {} levels of brackets, {} letters of a name or number, {} parameters and bindings of a \
         unit, {} feature maps of one `concat`.",
        parse::MAX_BRACKETS,
        parse::MAX_WORD,
        grouped(check::MAX_NAMES as u64),
        check::MAX_CONCAT,
    )
    .expect("a string takes all that is written");
}
