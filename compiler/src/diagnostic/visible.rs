//! Texts of others as they are shown: a terminal must not be steered by a spec.

/// The text with control characters written out, lines and tabs aside.
pub(super) fn written_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// A source with a sign of as many bytes for each control character, so that spans stay where they are.
pub(super) fn drawable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_line = c == '\r' && chars.peek() == Some(&'\n');
        out.push(match c.len_utf8() {
            _ if ends_line || !steers(c) => c,
            1 => '?',
            2 => '\u{bf}',
            _ => '\u{fffd}',
        });
    }
    out
}

/// Whether a terminal does anything but show it: control characters, and those that turn the direction of writing.
pub fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown_instead() {
        let text = "a\u{1b}[2J\tb\u{9b}\u{202e}c\r\nd\re";
        assert_eq!(written_out("a\u{1b}\u{202e}\n"), "a\\u{1b}\\u{202e}\n");
        assert_eq!(drawable(text), "a?[2J\tb\u{bf}\u{fffd}c\r\nd?e");
        assert_eq!(drawable(text).len(), text.len());
    }
}
