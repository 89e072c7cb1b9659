//! How large a spec and its network may be: what is larger is refused before memory or time is spent on it.

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
            nodes: 40_000,
            parameters: 1 << 33,
            activations: 1 << 40,
        }
    }
}

impl Limits {
    fn fields(&mut self) -> [(&'static str, &mut usize); 8] {
        [
            ("bytes", &mut self.bytes),
            ("nesting", &mut self.nesting),
            ("values", &mut self.values),
            ("units", &mut self.units),
            ("expressions", &mut self.expressions),
            ("nodes", &mut self.nodes),
            ("parameters", &mut self.parameters),
            ("activations", &mut self.activations),
        ]
    }

    /// Takes over one `NAME=VALUE`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        /// Deep recursion over a spec's values must stay within a thread's stack.
        const DEEPEST: usize = 256;
        let (name, value) = text.split_once('=').ok_or("a limit has the form `NAME=VALUE`")?;
        let value = value.trim().replace('_', "").parse::<usize>();
        let value = value.map_err(|_| format!("the limit `{name}` must be a whole number"))?;
        if name.trim() == "nesting" && value > DEEPEST {
            return Err(format!("the limit `nesting` is {DEEPEST} at most"));
        }
        let mut fields = self.fields();
        match fields.iter_mut().find(|(known, _)| *known == name.trim()) {
            Some((_, field)) => **field = value,
            None => {
                let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
                return Err(format!("no limit is called `{name}`; there are {}", known.join(", ")));
            }
        }
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
            ("unit=3", "there are bytes"),
            ("nesting=9999", "at most"),
        ] {
            let told = limits.set(wrong).expect_err("a wrong limit");
            assert!(told.contains(part), "{wrong}: {told}");
        }
    }
}
