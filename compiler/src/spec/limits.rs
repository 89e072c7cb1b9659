//! How large a spec and its network may be. Larger ones are refused before they cost memory or time.

use super::digits::ungrouped;

/// Caps, each raised by `--limit NAME=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one text.
    pub bytes: usize,
    /// Levels of lists and maps.
    pub nesting: usize,
    /// Values of one text, aliases expanded.
    pub values: usize,
    /// Units of the network.
    pub units: usize,
    /// Expressions of all units together, each unit counted as often as it is there.
    pub expressions: usize,
    /// Nodes of the graph as the spec gives it.
    pub nodes: usize,
    /// Trained parameters and running statistics.
    pub parameters: usize,
    /// Numbers in all feature maps of one image.
    pub activations: usize,
}

impl Default for Limits {
    /// More than any published network needs.
    fn default() -> Self {
        Limits {
            bytes: 256 << 10,
            nesting: 32,
            values: 20_000,
            units: 4096,
            expressions: 500_000,
            // ResNet-1202 has half of them.
            nodes: 24_000,
            parameters: 1 << 33,
            activations: 1 << 40,
        }
    }
}

/// One limit's place.
type Field = fn(&mut Limits) -> &mut usize;

/// Names of the limits, and what each counts.
const FIELDS: [(&str, Field, &str); 8] = [
    ("bytes", |limits| &mut limits.bytes, "bytes of one text"),
    ("nesting", |limits| &mut limits.nesting, "levels of lists and maps"),
    ("values", |limits| &mut limits.values, "values of one text"),
    ("units", |limits| &mut limits.units, "units"),
    ("expressions", |limits| &mut limits.expressions, "expressions in all units together"),
    ("nodes", |limits| &mut limits.nodes, "nodes of the graph"),
    ("parameters", |limits| &mut limits.parameters, "parameters"),
    ("activations", |limits| &mut limits.activations, "numbers in the feature maps of one image"),
];

/// Deep recursion over a spec's values must stay within a thread's stack.
const DEEPEST: usize = 256;

impl Limits {
    /// Names of all limits.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|&(name, _, _)| name)
    }

    /// Names of all limits with what each is by default, and what it counts.
    pub fn table() -> impl Iterator<Item = (&'static str, usize, &'static str)> {
        FIELDS.iter().map(|&(name, field, counted)| (name, *field(&mut Limits::default()), counted))
    }

    /// How a refusal ends: what the limit is, and what raises it.
    ///
    /// # Panics
    /// Where there is no such limit: names come from this crate.
    pub fn way_out(&self, name: &str) -> String {
        let field = FIELDS.iter().find(|(known, _, _)| *known == name);
        let (_, field, counted) = field.expect("refusals name limits that there are");
        format!("the limit is {} {counted}; `--limit {name}=N` raises it", *field(&mut self.clone()))
    }

    /// Takes over one `NAME=VALUE`.
    ///
    /// # Errors
    /// What is wrong with it, for people; then nothing is taken over.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').ok_or("a limit has the form `NAME=VALUE`")?;
        let value = ungrouped(value.trim()).and_then(|digits| digits.parse::<usize>().ok());
        let value = value.ok_or_else(|| format!("the limit `{name}` must be a whole number"))?;
        if name.trim() == "nesting" && value > DEEPEST {
            return Err(format!("the limit `nesting` is {DEEPEST} at most"));
        }
        let Some((_, field, _)) = FIELDS.iter().find(|(known, _, _)| *known == name.trim()) else {
            let known: Vec<&str> = Limits::names().collect();
            return Err(format!("no limit is called `{}`; there are {}", name.trim(), known.join(", ")));
        };
        *field(self) = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn limits_are_set_by_name() {
        let mut limits = Limits::default();
        limits.set("units=10_000").expect("a right limit");
        assert_eq!(limits, Limits { units: 10_000, ..Limits::default() });
        for (wrong, part) in [
            ("units", "NAME=VALUE"),
            ("units=many", "whole number"),
            ("units=1__0", "whole number"),
            ("unit=3", "there are bytes"),
            ("nesting=9999", "at most"),
        ] {
            let told = limits.set(wrong).expect_err("a wrong limit");
            assert!(told.contains(part), "{wrong}: {told}");
        }
    }
}
