//! Words and signs of a text in the unit language, for what is said of texts that the grammar refuses.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `conv3x3`
    Word,
    /// `1e-5`
    Number,
    /// `->`
    Arrow,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `=`
    Equals,
    /// Any other character.
    Other(char),
}

/// A word or a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// How many brackets are open before it.
    pub depth: usize,
}

impl Token {
    /// Whether a value or a layer may end with it.
    pub fn ends_value(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Number | Kind::Close)
    }

    /// Whether a value or a layer may begin with it, where a bracket does not.
    pub fn begins_value(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Number)
    }
}

/// All tokens of a text. Comments are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut at, mut depth) = (Vec::new(), 0, 0);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (kind, length) = match first {
            c if c.is_ascii_alphabetic() || c == '_' => (Kind::Word, word(rest)),
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            '-' if rest.starts_with("->") => (Kind::Arrow, 2),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            ',' => (Kind::Comma, 1),
            '=' if rest.starts_with("==") => (Kind::Other('='), 2),
            '=' if !rest.starts_with("=>") => (Kind::Equals, 1),
            c => (Kind::Other(c), c.len_utf8()),
        };
        if kind == Kind::Close {
            depth = usize::saturating_sub(depth, 1);
        }
        found.push(Token { kind, start: at, end: at + length, depth });
        if kind == Kind::Open {
            depth += 1;
        }
        at += length;
    }
    found
}

/// Length of the word that a text begins with.
pub fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Length of the number that a text begins with.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let mut length = digits(text);
    if let Some(fraction) = text[length..].strip_prefix('.').filter(|rest| digits(rest) > 0) {
        length += 1 + digits(fraction);
    }
    let exponent = text[length..].strip_prefix(['e', 'E']).map(|rest| rest.trim_start_matches(['+', '-']));
    match exponent.filter(|rest| digits(rest) > 0) {
        Some(rest) => text.len() - rest.len() + digits(rest),
        None => length,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    #[test]
    fn texts_fall_into_words_and_signs() {
        let text = "a = x -> conv3x3(2 * f, 1e-5) # -> bn\n  b == .5";
        let found: Vec<&str> = tokens(text).iter().map(|token| &text[token.start..token.end]).collect();
        let all = ["a", "=", "x", "->", "conv3x3", "(", "2", "*", "f", ",", "1e-5", ")", "b", "==", ".", "5"];
        assert_eq!(found, all);
        let depths: Vec<usize> = tokens("a(b(c))d").iter().map(|token| token.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 2, 1, 0, 0]);
        assert!(tokens("=> ==").iter().all(|token| token.kind != Kind::Equals));
    }
}
