//! What holds where a spec says nothing: of keys and of arguments.

use std::str::FromStr;

/// What holds where nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Nothing.
    Nothing,
    /// A value, as a spec would write it.
    Value(&'static str),
    /// Words for what depends on other values.
    Told(&'static str),
}

impl Default {
    /// The value as a spec would write it.
    ///
    /// # Panics
    /// Where the table has no such value.
    pub fn text(self) -> &'static str {
        let Default::Value(text) = self else {
            unreachable!("the default is read as a value but is {self:?}")
        };
        text
    }

    /// The value, read as a number or a flag.
    ///
    /// # Panics
    /// Where the table has no such value.
    pub fn read<T: FromStr>(self) -> T {
        let text = self.text();
        let Ok(value) = text.parse() else { unreachable!("the default `{text}` is of another kind") };
        value
    }
}
