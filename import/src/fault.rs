//! What cannot be read or said, with its place in the file.

use std::fmt;

/// Where something stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Nowhere in particular.
    #[default]
    File,
    /// A line of a text, from 1.
    Line(usize),
    /// A node of an ONNX graph, by its name, or by its operator and first result where it has none.
    Node(String),
}

/// Why a network cannot be imported: where, what, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// The way out, where one is known.
    pub help: Option<String>,
}

/// Result of a part of an import.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A fault at a place.
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Fault { place: place.clone(), message: message.into(), help: None }
    }

    /// A fault of the whole file.
    pub fn file(message: impl Into<String>) -> Self {
        Fault::new(&Place::File, message)
    }

    /// The same with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `line 12: `; nothing for the file.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => Ok(()),
            Place::Line(line) => write!(f, "line {line}: "),
            Place::Node(name) => write!(f, "node `{name}`: "),
        }
    }
}

/// Place and message, and the way out in a line of its own.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

impl std::error::Error for Fault {}
