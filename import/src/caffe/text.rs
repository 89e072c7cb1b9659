//! Protocol buffers' text format, as Caffe's files are written in it: `key: value` and `key { ... }`, with `#` comments.

use crate::fault::{Fault, Place, Result};

/// How deep messages may stand in one another; Caffe's stand three deep.
const MOST_NESTING: usize = 16;

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field<'t> {
    pub(super) key: &'t str,
    pub(super) line: usize,
    pub(super) value: Value<'t>,
}

/// What a field has.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'t> {
    /// A number, a word, or a text without its quotes.
    Word(&'t str),
    /// Fields.
    Message(Message<'t>),
}

/// Fields in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message<'t> {
    pub(super) line: usize,
    pub(super) fields: Vec<Field<'t>>,
}

/// Reads a file: the fields of one message.
pub(super) fn parse(text: &str) -> Result<Message<'_>> {
    let tokens = tokens(text)?;
    let mut open = vec![(Message { line: 1, fields: Vec::new() }, "", 1)];
    let mut rest = tokens.as_slice();
    while let Some((&(word, line), after)) = rest.split_first() {
        rest = after;
        let place = Place::Line(line);
        if word == "}" {
            let (message, key, line) = open.pop().expect("one is always open");
            let Some((outer, ..)) = open.last_mut() else {
                return Err(Fault::new(&place, "a `}` that closes nothing"));
            };
            outer.fields.push(Field { key, line, value: Value::Message(message) });
            continue;
        }
        if matches!(word, "{" | ":" | ";" | ",") {
            if matches!(word, ";" | ",") {
                continue;
            }
            return Err(Fault::new(&place, format!("`{word}` without a key before it")));
        }
        let colon = rest.first().is_some_and(|&(next, _)| next == ":");
        let value = if colon { &rest[1..] } else { rest };
        match value.split_first() {
            Some((&("{", _), after)) if open.len() < MOST_NESTING => {
                rest = after;
                open.push((Message { line, fields: Vec::new() }, word, line));
            }
            Some((&("{", line), _)) => {
                return Err(Fault::new(&Place::Line(line), "messages stand too deep in one another"));
            }
            Some((&(text, _), after)) if colon && text != "}" => {
                rest = after;
                let (message, ..) = open.last_mut().expect("one is always open");
                message.fields.push(Field { key: word, line, value: Value::Word(text) });
            }
            _ => return Err(Fault::new(&place, format!("`{word}` has no value"))),
        }
    }
    let (message, key, line) = open.pop().expect("one is always open");
    if open.is_empty() {
        return Ok(message);
    }
    Err(Fault::new(&Place::Line(line), format!("`{key} {{` is not closed")))
}

/// Words, signs and texts, each with its line.
fn tokens(text: &str) -> Result<Vec<(&str, usize)>> {
    let mut tokens = Vec::new();
    for (index, mut rest) in text.lines().enumerate() {
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next().filter(|&c| c != '#') else { break };
            let length = match first {
                '{' | '}' | ':' | ';' | ',' => 1,
                '"' | '\'' => {
                    let Some(length) = rest[1..].find(first) else {
                        return Err(Fault::new(&Place::Line(index + 1), "a text is not closed"));
                    };
                    tokens.push((&rest[1..=length], index + 1));
                    rest = &rest[length + 2..];
                    continue;
                }
                _ => rest.find(|c: char| c.is_whitespace() || "{}:;,#\"'".contains(c)).unwrap_or(rest.len()),
            };
            tokens.push((&rest[..length], index + 1));
            rest = &rest[length..];
        }
    }
    Ok(tokens)
}

impl<'t> Message<'t> {
    /// The values of a key.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = (&Value<'t>, usize)> {
        self.fields.iter().filter(move |field| field.key == key).map(|field| (&field.value, field.line))
    }

    /// The words of a key.
    pub(super) fn words(&self, key: &str) -> impl Iterator<Item = (&'t str, Place)> {
        self.all(key).filter_map(|(value, line)| match value {
            Value::Word(word) => Some((*word, Place::Line(line))),
            Value::Message(_) => None,
        })
    }

    /// A message in it; an empty one where there is none.
    pub(super) fn message(&self, key: &str) -> Message<'t> {
        let found = self.all(key).find_map(|(value, _)| match value {
            Value::Message(message) => Some(message.clone()),
            Value::Word(_) => None,
        });
        found.unwrap_or(Message { line: self.line, fields: Vec::new() })
    }

    /// The last word of a key.
    pub(super) fn word(&self, key: &str) -> Option<(&'t str, Place)> {
        self.words(key).last()
    }

    /// A size of at least 0, no larger than networks have.
    pub(super) fn size(&self, key: &str, usual: usize) -> Result<usize> {
        let Some((word, place)) = self.word(key) else { return Ok(usual) };
        let size = word.parse().ok().filter(|&size: &usize| size <= 1 << 20);
        size.ok_or_else(|| Fault::new(&place, format!("`{key}: {word}` is no size")))
    }

    /// A number.
    pub(super) fn number(&self, key: &str, usual: f32) -> Result<f32> {
        let Some((word, place)) = self.word(key) else { return Ok(usual) };
        word.parse().map_err(|_| Fault::new(&place, format!("`{key}: {word}` is no number")))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, usual: bool) -> Result<bool> {
        match self.word(key) {
            None => Ok(usual),
            Some(("true", _)) => Ok(true),
            Some(("false", _)) => Ok(false),
            Some((word, place)) => {
                Err(Fault::new(&place, format!("`{key}: {word}` is neither true nor false")))
            }
        }
    }

    /// The first key that is none of these.
    pub(super) fn only(&self, known: &[&str], layer: &str) -> Result<()> {
        match self.fields.iter().find(|field| !known.contains(&field.key)) {
            None => Ok(()),
            Some(field) => {
                let message = format!("`{}` of a {layer} layer has no counterpart in specs", field.key);
                Err(Fault::new(&Place::Line(field.line), message))
            }
        }
    }
}
