//! What is wrong where a text is no YAML, and how to go on.

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::nearest;
use crate::source::Span;

/// The reason and the way out. `before` is the text that was read, `rest` what follows.
pub fn explain(error: &ScanError, before: &str, rest: &str) -> (String, String) {
    use ErrorKind as E;
    match error.kind() {
        E::UnclosedFlowCollection { open } => not_closed(*open, None),
        E::MismatchedFlowCollectionEnd { open, close } => {
            let closed = if *open == '{' { '}' } else { ']' };
            (format!("the bracket `{open}` is closed by `{close}`"), format!("close it with `{closed}`"))
        }
        E::MisplacedFlowCollectionEnd => {
            told("this bracket closes nothing", "take it out, or open it before")
        }
        E::UnclosedQuotedScalar => told("this quote is not closed", "close it, or take it out"),
        E::UnexpectedCharacter { character } => character_at_start(*character),
        E::MappingValueNotAllowed | E::InvalidColonPlacement => colon(before),
        E::SimpleKeyExpected => no_key(before, rest),
        E::ExpectedBlockMappingKey if !line_before(before).trim().is_empty() => {
            told("the value ends before this", "take out what follows it, or quote all of the value")
        }
        E::ExpectedBlockMappingKey | E::InvalidIndentation | E::ExpectedBlockSequenceEntry => indented(),
        E::TabInBlockIndentation | E::TabInIndentation | E::TabNotAllowed | E::TabInPlainScalar => {
            told("a tab stands where YAML takes spaces only", "indent with spaces")
        }
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection => told(
            "a list with `- ` cannot begin here",
            "begin each `- ` on a line of its own, or write the list as `[a, b]`",
        ),
        E::MissingAnchorOrAliasName => told(
            "`*` and `&` at the beginning of a text stand for anchors, whose name is missing here",
            "quote the text, or write the anchor's name behind the sign",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape => told(
            "a backslash in double quotes begins an escape, which this is none of",
            "write the text in single quotes, which have no escapes",
        ),
        _ if rest.starts_with(',') => told("this comma has nothing before it", "take it out"),
        _ => told(
            error.info(),
            "look before it for a bracket or a quote that is not closed, or for indentation",
        ),
    }
}

fn told(reason: impl Into<String>, help: &str) -> (String, String) {
    (reason.into(), help.to_owned())
}

fn not_closed(open: char, line: Option<usize>) -> (String, String) {
    let close = if open == '{' { '}' } else { ']' };
    let place = line.map_or(String::new(), |line| format!(" in line {line}"));
    (format!("the bracket `{open}`{place} is not closed"), format!("write `{close}` where it ends"))
}

fn indented() -> (String, String) {
    told(
        "this line begins in another column than those that it belongs to",
        "begin all keys of a map, and all `- ` of a list, in one column",
    )
}

fn character_at_start(character: char) -> (String, String) {
    match character {
        '@' | '`' | '%' => {
            (format!("a text cannot begin with `{character}`"), "quote it: `\"...\"`".to_owned())
        }
        c if c.is_control() => (
            format!("the control character U+{:04X} has no place in a text", u32::from(c)),
            "take it out; a file that has many of them is no text, or one in UTF-16".to_owned(),
        ),
        c => {
            (format!("the character `{c}` has no meaning here"), "take it out, or quote the text".to_owned())
        }
    }
}

/// The part of the last line that was read.
fn line_before(before: &str) -> &str {
    before.rsplit('\n').next().unwrap_or("")
}

/// A colon where no key can end.
fn colon(before: &str) -> (String, String) {
    if let Some((open, line)) = open_bracket(before) {
        return not_closed(open, Some(line));
    }
    let line = line_before(before);
    let is_open = |text: &str| text.matches('(').count() > text.matches(')').count();
    let colons = line.match_indices(": ").map(|(at, _)| &line[..at]).chain([line]);
    if let Some(before) = colons.into_iter().find(|before| is_open(before)) {
        let name = before.rsplit(['(', ',', ' ']).next().unwrap_or("");
        return (
            "a colon stands among the arguments of a layer or unit".to_owned(),
            format!("an argument has its value behind `=`, `{name}=...`, and no type"),
        );
    }
    match line.split_once(": ") {
        Some((key, value)) => (
            "a second `: ` stands in this line".to_owned(),
            format!("quote a text that has one: `{}: \"{}: ...\"`", key.trim(), value.trim()),
        ),
        None => indented(),
    }
}

/// The last bracket that is open at the end of a text, with its line. Quotes and comments are not looked into: where they
/// have brackets, the help is a little off.
fn open_bracket(text: &str) -> Option<(char, usize)> {
    let mut open = Vec::new();
    for (line, content) in text.lines().enumerate() {
        let code = content.split(" #").next().unwrap_or("");
        for c in code.chars() {
            match c {
                '{' | '[' => open.push((c, line + 1)),
                '}' | ']' => {
                    open.pop();
                }
                _ => {}
            }
        }
    }
    open.pop()
}

/// A line that is no `key: value`.
fn no_key(before: &str, rest: &str) -> (String, String) {
    let line = rest.lines().next().unwrap_or("").trim();
    let above = before.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    if above.ends_with(['|', '>']) {
        let help =
            "indent it further than the key: the lines of a text behind `|` or `>` stand to the right of it";
        return told("this line does not belong to the text that begins above", help);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let key = &line[..line.find(|c| !word(c)).unwrap_or(line.len())];
    let value = line[key.len()..].trim_start();
    if let (false, Some(value)) = (key.is_empty(), value.strip_prefix(':')) {
        return (
            "a space is missing behind the colon".to_owned(),
            format!("write `{key}: {}`", value.trim_start()),
        );
    }
    if let (false, Some(value)) = (key.is_empty(), value.strip_prefix('=')) {
        return (
            "a colon stands between a key and its value".to_owned(),
            format!("write `{key}: {}`", value.trim_start()),
        );
    }
    told(
        "this line is no `key: value`",
        "write a key and a colon, or indent the line further than the key it belongs to",
    )
}

/// A reference to an anchor that no value before it has.
pub fn unknown_anchor(name: &str, text: &str, span: Span) -> Diagnostic {
    let fault =
        Diagnostic::error(format!("no value before this has the anchor `&{name}`"), span, "refers to it");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let names: Vec<&str> =
        text.split('&').skip(1).map(|rest| &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]).collect();
    fault.help(match nearest(name, &names) {
        Some(near) => format!("did you mean `*{near}`?"),
        None => format!(
            "write `&{name}` before a value above, such as one under `anchors`; anchors hold within one file"
        ),
    })
}

/// A tag, which no value needs.
pub fn tag(handle: &str, suffix: &str, span: Span) -> Diagnostic {
    let name = format!("{handle}{suffix}");
    let fault =
        Diagnostic::error(format!("the tag `{name}` has no meaning in a spec"), span, "the tagged value");
    fault.help(match name.as_str() {
        "!include" | "!import" | "!inherit" => "a spec takes over another with the key `extends`",
        _ => "take the tag out: each key says what its value is",
    })
}
