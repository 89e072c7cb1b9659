//! Characters that look like those of the language, or like none: no-break spaces, arrows, letters of other alphabets. They
//! come with text that is copied from pages, papers and word processors.

use super::types::{Diagnostic, Label};
use crate::source::{SourceMap, Span};

/// A character that is taken for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAlike {
    /// Its first byte in the text.
    pub at: usize,
    /// The character.
    pub character: char,
    /// What it is.
    pub name: &'static str,
    /// What to write; nothing for what is to be taken out.
    pub instead: String,
}

/// Kinds of characters: what they are, the characters, and what to write instead.
const KINDS: &[(&str, &[char], &str)] = &[
    (
        "a space that is none to YAML",
        &[
            '\u{a0}', '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}',
            '\u{2006}', '\u{2007}', '\u{2008}', '\u{2009}', '\u{200a}', '\u{202f}', '\u{205f}', '\u{3000}',
        ],
        " ",
    ),
    (
        "an invisible character",
        &[
            '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}',
            '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
            '\u{feff}',
        ],
        "",
    ),
    (
        "a dash",
        &[
            '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe58}',
            '\u{fe63}',
        ],
        "-",
    ),
    ("an arrow", &['→', '⇒', '⟶', '⟹', '➔', '➜', '➝', '➞', '⇨', '↦', '⭢'], "->"),
    ("a multiplication sign", &['×', '✕', '✖'], "x"),
    ("a multiplication sign", &['·', '⋅', '∙', '∗', '•'], "*"),
    ("a division sign", &['÷', '∕', '⁄'], "/"),
    ("a quotation mark", &['“', '”', '„', '‟', '«', '»', '″'], "\""),
    ("a quotation mark", &['‘', '’', '‚', '‛', '‹', '›', '′'], "'"),
    ("an East Asian comma", &['、'], ","),
    ("a ligature", &['ﬁ'], "fi"),
    ("a ligature", &['ﬂ'], "fl"),
    ("a ligature", &['ﬀ'], "ff"),
];

/// Letters of other alphabets, and the Latin ones that they look like.
const LETTERS: &[(&str, &str, &str)] = &[
    ("a Cyrillic letter", "аеорсухіјѕһкьАВЕКМНОРСТХУІЈЅ", "aeopcyxijshkbABEKMHOPCTXYIJS"),
    ("a Greek letter", "οανικρτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavikptuxABEZHIKMNOPTYX"),
];

/// The first character of a text that looks like another.
pub fn find(text: &str) -> Option<LookAlike> {
    text.char_indices().filter(|(_, c)| !c.is_ascii()).find_map(|(at, character)| {
        let (name, instead) = known(character)?;
        Some(LookAlike { at, character, name, instead })
    })
}

fn known(character: char) -> Option<(&'static str, String)> {
    if let Some((name, _, instead)) = KINDS.iter().find(|(_, characters, _)| characters.contains(&character))
    {
        return Some((name, (*instead).to_owned()));
    }
    let latin = LETTERS.iter().find_map(|(name, letters, latin)| {
        let at = letters.chars().position(|letter| letter == character)?;
        Some((*name, latin.chars().nth(at)?.to_string()))
    });
    // The full-width forms stand in the order of ASCII.
    let wide = || match u32::from(character) {
        code @ 0xff01..=0xff5e => {
            Some(("a full-width character", char::from_u32(code - 0xfee0)?.to_string()))
        }
        _ => None,
    };
    latin.or_else(wide)
}

impl LookAlike {
    /// What it is, for a label: `U+00A0, a space that is none to YAML`.
    pub fn what(&self) -> String {
        format!("U+{:04X}, {}", u32::from(self.character), self.name)
    }

    /// The way out.
    pub fn help(&self) -> String {
        match self.instead.as_str() {
            "" => "take it out".to_owned(),
            " " => "write an ordinary space".to_owned(),
            instead => format!("write `{instead}`"),
        }
    }

    /// Its text, where the text that it was found in begins at `start` of a source.
    pub fn span(&self, start: Span) -> Span {
        let from = start.start + self.at as u32;
        Span { start: from, end: from + self.character.len_utf8() as u32, ..start }
    }
}

/// Names such characters where a fault underlines them: they are its cause, and nobody sees them.
pub fn point_out(faults: &mut [Diagnostic], sources: &SourceMap) {
    for fault in faults {
        let Some(span) = fault.labels.first().map(|label| label.span) else { continue };
        // Of a whole section, some other part may have them.
        let text = sources.text(span);
        let Some(text) = text.split(" #").next().filter(|text| !text.contains(['\n', '{'])) else { continue };
        let Some(found) = find(text) else { continue };
        fault.labels[0] = Label { span: found.span(span), text: found.what() };
        fault.help = Some(found.help());
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn characters_are_named_with_what_to_write() {
        for (text, at, instead) in [
            ("classes:\u{a0}10", 8, " "),
            ("conv3×3", 5, "x"),
            ("bn → relu", 3, "->"),
            ("−5", 0, "-"),
            ("“a”", 0, "\""),
            ("cоnv3x3", 1, "o"),
            ("conv3x3（16）", 7, "("),
            ("a\u{200b}b", 1, ""),
        ] {
            let found = find(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((found.at, found.instead.as_str()), (at, instead), "{text}");
        }
        assert_eq!(find("größe, 大きさ, conv3x3 -> bn"), None);
    }

    #[test]
    fn letters_and_what_they_look_like_are_as_many() {
        for (name, letters, latin) in super::LETTERS {
            assert_eq!(letters.chars().count(), latin.chars().count(), "{name}");
            assert!(letters.chars().all(|letter| !letter.is_ascii()) && latin.is_ascii(), "{name}");
        }
    }
}
