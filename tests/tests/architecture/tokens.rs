//! Rust's tokens, as far as paths and blocks need them: comments go, literals are told apart from code.

/// One token. Numbers, characters and lifetimes are of no interest and have no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name or a keyword.
    Word(String),
    /// A string literal's text, its escapes as written.
    Text(String),
    /// `::`.
    Colons,
    /// Any other sign.
    Sign(char),
}

/// The tokens of a file.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text };
    let mut found = Vec::new();
    while let Some(first) = reader.rest.chars().next() {
        found.extend(reader.token(first));
    }
    found
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Goes over the next token and gives it, if it is one that counts.
    fn token(&mut self, first: char) -> Option<Token> {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.skip(rest.find('\n').unwrap_or(rest.len()));
            return None;
        }
        if rest.starts_with("/*") {
            self.skip(block_comment(rest));
            return None;
        }
        if let Some(token) = self.literal() {
            return Some(token);
        }
        if first == '\'' {
            self.skip(quoted(rest));
            return None;
        }
        if first.is_alphanumeric() || first == '_' {
            let word = self.skip(rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()));
            return (!first.is_numeric()).then(|| Token::Word(word.to_owned()));
        }
        if rest.starts_with("::") {
            self.skip(2);
            return Some(Token::Colons);
        }
        self.skip(first.len_utf8());
        (!first.is_whitespace()).then_some(Token::Sign(first))
    }

    /// A string literal of any kind, if one begins here.
    fn literal(&mut self) -> Option<Token> {
        let rest = self.rest;
        let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|p| {
            let after = rest.strip_prefix(p).map(|after| after.trim_start_matches('#'));
            // `r#match` is a name, `br#"…"#` a literal; hashes without an `r` belong to an attribute.
            after.is_some_and(|after| {
                after.starts_with('"') && (p.contains('r') || rest[p.len()..].starts_with('"'))
            })
        })?;
        let hashes = rest[prefix.len()..].bytes().take_while(|&b| b == b'#').count();
        let start = prefix.len() + hashes + 1;
        let end = if prefix.contains('r') {
            let close = format!("\"{}", "#".repeat(hashes));
            rest[start..].find(&close).map_or(rest.len(), |at| start + at)
        } else {
            let mut escaped = false;
            let quote = rest[start..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            quote.map_or(rest.len(), |at| start + at)
        };
        let text = rest[start..end].to_owned();
        self.skip((end + 1 + hashes).min(rest.len()));
        Some(Token::Text(text))
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (read, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        read
    }
}

/// Bytes of the block comment, with those inside it, at the head of the text.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Bytes of the character literal or the lifetime at the head of the text.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        // An escape: the closing quote is the first one after the escaped sign.
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |at| 3 + at + 1),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[test]
fn comments_and_literals_are_no_code() {
    let text =
        "a // b::c\n/* d /* e */ f */ g \"h \\\" i\" r#\"j\"k\"# 'l' '\\'' '\\u{41}' <'m> b\"n\" 0x1f.o";
    let words: Vec<String> = tokens(text)
        .into_iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(word),
            Token::Text(text) => Some(format!("{text:?}")),
            Token::Colons | Token::Sign(_) => None,
        })
        .collect();
    assert_eq!(words, ["a", "g", "\"h \\\\\\\" i\"", "\"j\\\"k\"", "m", "\"n\"", "o"]);
}

#[test]
fn colons_are_one_token() {
    let word = |w: &str| Token::Word(w.to_owned());
    assert_eq!(tokens("a::b: c"), [word("a"), Token::Colons, word("b"), Token::Sign(':'), word("c")]);
}
