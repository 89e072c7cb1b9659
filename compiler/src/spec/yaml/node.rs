//! A YAML value as it was written, each part with the span of its text.

use granit_parser::ScalarStyle;

use crate::source::Span;

/// A value with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The whole value: of a scalar its characters, of a collection from the first to the last child.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Plain, quoted or block text.
    Scalar {
        /// Its value.
        text: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// In order of writing.
    List(Vec<Node>),
    /// In order of writing; keys are unique.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its text.
    pub span: Span,
    /// What it maps to.
    pub value: Node,
}

impl Kind {
    /// What stands where nothing is written.
    pub fn nothing() -> Self {
        Kind::plain("")
    }

    /// A text without quotes.
    pub fn plain(text: &str) -> Self {
        Kind::Scalar { text: text.to_owned(), style: ScalarStyle::Plain }
    }
}

impl Node {
    /// What people call such a value.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar { text, .. } if text.is_empty() => "nothing".into(),
            Kind::Scalar { text, .. } if text.len() > 40 => "text".into(),
            Kind::Scalar { text, style: ScalarStyle::Plain } => format!("`{text}`"),
            Kind::Scalar { text, .. } => format!("the text `{}`", text.trim()),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// Where a missing key is pointed out: the first key, or the value itself.
    pub fn top(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => entries.first().map_or(self.span, |e| e.span),
            Kind::Scalar { .. } | Kind::List(_) => self.span,
        }
    }

    /// Whether it is an empty plain scalar: `key:` with nothing behind.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: ScalarStyle::Plain } if text.is_empty())
    }

    /// Whether it is `~` or `null`, written out: a setting that is taken away. `key:` with nothing behind is none; there
    /// a line was forgotten.
    pub fn is_null(&self) -> bool {
        self.is_empty() && self.span.start < self.span.end
    }

    /// The text, where it is a plain scalar: what YAML itself gives a meaning.
    pub fn plain(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, style: ScalarStyle::Plain } => Some(text),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The value as YAML in one line, as an override has it behind its key.
    pub fn flow(&self) -> String {
        if self.is_null() {
            return "~".to_owned();
        }
        match &self.kind {
            Kind::Scalar { text, .. } => match self.plain() {
                Some(plain)
                    if !plain.contains([',', '[', ']', '{', '}', '#', '\n']) && !plain.contains(": ") =>
                {
                    plain.to_owned()
                }
                _ => serde_json::Value::from(text.as_str()).to_string(),
            },
            Kind::List(items) => format!("[{}]", items.iter().map(Node::flow).collect::<Vec<_>>().join(", ")),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|entry| {
                    format!("{}: {}", serde_json::Value::from(entry.key.as_str()), entry.value.flow())
                });
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Number of values, keys counted, and bytes of text in it.
    pub(super) fn size(&self) -> (usize, usize) {
        let add = |(n, b): (usize, usize), (nodes, bytes): (usize, usize)| (n + nodes, b + bytes);
        match &self.kind {
            Kind::Scalar { text, .. } => (1, text.len()),
            Kind::List(items) => items.iter().map(Node::size).fold((1, 0), add),
            Kind::Map(entries) => {
                let sizes = entries.iter().map(|e| add(e.value.size(), (1, e.key.len())));
                sizes.fold((1, 0), add)
            }
        }
    }
}
