//! What a terminal is, and what may be sent to it.

use std::borrow::Cow;
use std::fmt::Write;

use resnetc_compiler::diagnostic::visible::steers;
use terminal_size::{Width, terminal_size_of};

/// Columns below which nothing is narrowed further.
const LEAST: usize = 40;

/// Columns of the terminal that a stream is; none where it is no terminal.
#[cfg(unix)]
pub fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns).max(LEAST))
}

/// Columns of the terminal that a stream is; none where it is no terminal.
#[cfg(windows)]
pub fn columns(stream: impl std::os::windows::io::AsHandle) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns).max(LEAST))
}

/// The text with control characters written out: texts from specs, checkpoints and names of files must not steer a terminal.
/// Where the text is `styled`, colours stay.
pub fn safe(text: &str, styled: bool) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let style = if styled { style(rest) } else { 0 };
        let length = style.max(c.len_utf8());
        match c {
            _ if style > 0 => out.push_str(&rest[..style]),
            '\r' if rest.starts_with("\r\n") => {}
            c if steers(c) => write!(out, "{}", c.escape_unicode()).expect("writing to a string"),
            c => out.push(c),
        }
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// Bytes of the sequence for a colour, or another style, that the text begins with.
fn style(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';');
    end.filter(|&end| rest[end..].starts_with('m')).map_or(0, |end| 2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(safe("a\tb\nc", false), "a\tb\nc");
        assert_eq!(safe("a\u{1b}[2Jb\rc\u{9b}d\u{7f}", false), r"a\u{1b}[2Jb\u{d}c\u{9b}d\u{7f}");
        assert_eq!(safe("a\r\nb\u{202e}c", false), "a\nb\\u{202e}c");
    }

    #[test]
    fn colours_stay_where_they_are_wanted() {
        let red = "\u{1b}[1;31mred\u{1b}[0m";
        assert_eq!(safe(red, true), red);
        assert_eq!(safe(&format!("{red}\u{1b}[2J\u{1b}["), true), format!("{red}{}", r"\u{1b}[2J\u{1b}["));
        assert!(!safe(red, false).contains('\u{1b}'));
    }
}
