//! Why the grammar refuses a text, and what was probably meant. The grammar itself says only which signs it could have read
//! next, at the place where it gave up.

use super::signs;
use super::tokens::{Kind, Token, tokens, word};
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Text};
use crate::spec::foreign;

/// What a text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `mine(f, stride)`
    Signature,
    /// Bindings.
    Body,
    /// Layers after one another.
    Layers,
    /// One value.
    Formula,
}

/// A text that was refused at a byte.
struct Refused<'t> {
    text: Text<'t>,
    tokens: Vec<Token>,
    /// Index of the token at which it was refused; one past the last where the text ends too early.
    at: usize,
    place: Place,
}

/// The cause, where it is a known one.
pub fn explain(text: Text<'_>, at: usize, place: Place) -> Option<Diagnostic> {
    let tokens = tokens(text.text);
    let index = tokens.iter().position(|token| token.end > at).unwrap_or(tokens.len());
    let refused = Refused { text, tokens, at: index, place };
    // A letter that only looks like one of the language is named where it is underlined.
    if refused.token().is_some_and(|token| matches!(token.kind, Kind::Other(c) if !c.is_ascii())) {
        return None;
    }
    refused
        .dotted()
        .or_else(|| refused.number())
        .or_else(|| refused.brackets())
        .or_else(|| refused.arrow())
        .or_else(|| refused.gap())
        .or_else(|| refused.missing_layer())
        .or_else(|| refused.comma())
        .or_else(|| refused.sum())
        .or_else(|| refused.sign())
        .or_else(|| refused.no_name())
}

impl Refused<'_> {
    fn token(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn before(&self) -> Option<Token> {
        self.tokens.get(self.at.checked_sub(1)?).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let base = self.text.span.start;
        Span { start: base + start as u32, end: base + end as u32, ..self.text.span }
    }

    fn str(&self, start: usize, end: usize) -> &str {
        &self.text.text[start..end]
    }

    fn error(&self, start: usize, end: usize, fault: impl Into<String>, label: &str) -> Diagnostic {
        Diagnostic::error(fault, self.span(start, end), label)
    }

    /// `nn.ReLU`
    fn dotted(&self) -> Option<Diagnostic> {
        let dot = self.token().filter(|token| token.kind == Kind::Other('.'))?;
        let first = self.before().filter(|token| token.kind == Kind::Word && token.end == dot.start)?;
        let text = &self.text.text[first.start..];
        let length =
            text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
        let name = text[..length].trim_end_matches('.');
        let fault = format!("`{name}` is no name of this language");
        let fault = self.error(first.start, first.start + name.len(), fault, "names have no dots");
        Some(
            fault.help(
                foreign::layer(name)
                    .unwrap_or_else(|| "layers and values have simple names: `x -> relu`".to_owned()),
            ),
        )
    }

    /// `1__0`
    fn number(&self) -> Option<Diagnostic> {
        let near = [self.before(), self.token()].into_iter().flatten();
        let wrong = |token: &Token| {
            let text = self.str(token.start, token.end);
            token.kind == Kind::Number && (text.contains("__") || text.ends_with('_'))
        };
        let token = near.into_iter().find(wrong)?;
        let text = self.str(token.start, token.end);
        let fault = self.error(token.start, token.end, format!("`{text}` is no number"), "not understood");
        Some(fault.help(format!("single underscores group digits: `{}`", text.replace('_', ""))))
    }

    /// A bracket without its other half.
    fn brackets(&self) -> Option<Diagnostic> {
        let mut open: Vec<usize> = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            match token.kind {
                Kind::Open => open.push(index),
                Kind::Close if open.pop().is_none() => {
                    let fault =
                        self.error(token.start, token.end, "this bracket closes nothing", "not opened");
                    return Some(fault.help("take it out, or open it before"));
                }
                _ => {}
            }
        }
        let index = open.pop()?;
        let bracket = self.tokens[index];
        let fault = self.error(bracket.start, bracket.end, "this bracket is not closed", "opened here");
        let name =
            index.checked_sub(1).map(|before| self.tokens[before]).filter(|name| name.kind == Kind::Word);
        Some(fault.help(match name {
            Some(name) => {
                format!("write `)` where the arguments of `{}` end", self.str(name.start, name.end))
            }
            None => "write `)` where the sum or product in it ends".to_owned(),
        }))
    }

    /// What stands for an arrow elsewhere.
    fn arrow(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        let dash = |token: &Token| token.kind == Kind::Other('-');
        let head = |token: &Token| matches!(token.kind, Kind::Other('>' | '-') | Kind::Arrow);
        let next = self.tokens.get(self.at + 1).filter(|next| dash(&token) && head(next));
        let (start, end) = match (self.before().filter(dash), next) {
            (_, Some(next)) => (token.start, next.end),
            (Some(before), _) if head(&token) && !dash(&token) => (before.start, token.end),
            _ => {
                let rest = &self.text.text[token.start..];
                let length =
                    ["=>", "~>", "|>", ">>", ">", "|"].iter().find(|sign| rest.starts_with(**sign))?.len();
                (token.start, token.start + length)
            }
        };
        let fault = format!("`{}` is no arrow", self.str(start, end));
        let help = "an arrow is `->`, as in `conv3x3(f) -> bn -> relu`";
        Some(self.error(start, end, fault, "an arrow is meant").help(help))
    }

    /// Two values with nothing between them. The grammar may refuse the text only later, where it took the second one for
    /// the name of a binding.
    fn gap(&self) -> Option<Diagnostic> {
        let last = (self.at + 2).min(self.tokens.len());
        let index = (1..last).find(|&index| {
            let (left, right) = (self.tokens[index - 1], self.tokens[index]);
            let binding = self.place == Place::Body
                && right.depth == 0
                && self.tokens.get(index + 1).is_some_and(|next| next.kind == Kind::Equals);
            left.ends_value() && right.begins_value() && !binding
        })?;
        let (left, right) = (self.tokens[index - 1], self.tokens[index]);
        if let Some(fault) =
            self.keyword(left).or_else(|| self.keyword(right)).or_else(|| self.glued(left, right))
        {
            return Some(fault);
        }
        let (from, to) = (self.call_start(index - 1), self.call_end(index));
        let (first, second) = (short(self.str(from, left.end)), short(self.str(right.start, to)));
        let (what, sign) = self.between(right);
        let fault = format!("{what} is missing between `{first}` and `{second}`");
        // Of a gap over lines, the end of the first one is shown.
        let lines = self.str(left.end, right.start).contains('\n');
        let end = if lines { left.end } else { right.start };
        let fault = self.error(left.end, end, fault, "missing here");
        Some(fault.help(match sign {
            "" => "write `+`, `*` or `->` between them".to_owned(),
            "," => format!("write `{first}, {second}`"),
            sign => format!("write `{first} {sign} {second}`"),
        }))
    }

    /// A sum behind an arrow, which binds weaker.
    fn sum(&self) -> Option<Diagnostic> {
        let token = self.token().filter(|token| matches!(token.kind, Kind::Other('+' | '-' | '*' | '/')))?;
        let begins = |before: &Token| {
            before.depth < token.depth
                || matches!(before.kind, Kind::Equals | Kind::Comma) && before.depth == token.depth
        };
        let start = self.tokens[..self.at].iter().rposition(begins).map_or(0, |index| index + 1);
        let pipeline = &self.tokens[start..self.at];
        let arrow = pipeline.iter().any(|token| token.kind == Kind::Arrow);
        if self.place == Place::Layers || !arrow {
            return None;
        }
        let text = short(self.str(pipeline.first()?.start, pipeline.last()?.end));
        let sign = self.str(token.start, token.end);
        let fault =
            self.error(token.start, token.end, "`->` binds weaker than this sign", "cannot follow a layer");
        Some(fault.help(format!("put the pipeline into brackets: `({text}) {sign} ...`")))
    }

    /// A word of a programming language.
    fn keyword(&self, token: Token) -> Option<Diagnostic> {
        let word = self.str(token.start, token.end);
        let help = signs::keyword(word)?;
        let fault = format!("the unit language has no `{word}`");
        Some(self.error(token.start, token.end, fault, "not understood").help(help))
    }

    /// `2f`, `3x3(f)`
    fn glued(&self, left: Token, right: Token) -> Option<Diagnostic> {
        if left.end != right.start || left.kind != Kind::Number {
            return None;
        }
        let (number, word) = (self.str(left.start, left.end), self.str(right.start, right.end));
        let fault = format!("`{number}{word}` is neither a number nor a name");
        let fault = self.error(left.start, right.end, fault, "runs together");
        let digits = word.strip_prefix('x').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        Some(fault.help(match digits {
            true => format!("a window stands behind the kind of layer: `conv{number}{word}`"),
            false => format!("a product is `{number} * {word}`; a name begins with a letter"),
        }))
    }

    /// What is missing before a value.
    fn between(&self, right: Token) -> (&'static str, &'static str) {
        let layer = super::layer::is_layer(self.str(right.start, right.end));
        match (right.depth, self.place) {
            (0, Place::Layers) => ("an arrow", "->"),
            (0, _) if layer => ("an arrow", "->"),
            (0, _) => ("an operator or an arrow", ""),
            _ if layer => ("an arrow", "->"),
            _ => ("a comma", ","),
        }
    }

    /// First byte of the call that ends with a token.
    fn call_start(&self, mut index: usize) -> usize {
        if self.tokens[index].kind == Kind::Close {
            let depth = self.tokens[index].depth;
            let open = |token: &Token| token.kind == Kind::Open && token.depth == depth;
            index = self.tokens[..index].iter().rposition(open).unwrap_or(index);
            index = index
                .checked_sub(1)
                .filter(|&before| self.tokens[before].kind == Kind::Word)
                .unwrap_or(index);
        }
        self.tokens[index].start
    }

    /// One past the last byte of the call that begins with a token.
    fn call_end(&self, index: usize) -> usize {
        let token = self.tokens[index];
        let open = self.tokens.get(index + 1).is_some_and(|next| next.kind == Kind::Open);
        let close = |next: &&Token| next.kind == Kind::Close && next.depth == token.depth;
        let closed = self.tokens[index..].iter().find(close).filter(|_| open && token.kind == Kind::Word);
        closed.map_or(token.end, |close| close.end)
    }

    /// An arrow without a layer on either side.
    fn missing_layer(&self) -> Option<Diagnostic> {
        let before = self.before().filter(|before| before.kind == Kind::Arrow);
        match (before, self.token()) {
            (Some(arrow), None) => {
                let fault = self.error(
                    arrow.start,
                    arrow.end,
                    "a layer is missing behind this arrow",
                    "leads nowhere",
                );
                Some(fault.help("write the layer, or take the arrow out"))
            }
            (Some(arrow), Some(next)) if next.kind == Kind::Arrow => {
                let fault = self.error(
                    arrow.end,
                    next.start.max(arrow.end),
                    "a layer is missing between two arrows",
                    "missing here",
                );
                Some(fault.help("write the layer, or take one of the arrows out"))
            }
            (Some(arrow), Some(next)) => {
                let fault =
                    self.error(next.start, next.end, "a layer is missing behind an arrow", "no layer");
                let help =
                    "arrows lead to layers, `x -> relu`; sums and products stand before them, or in brackets";
                Some(fault.label(self.span(arrow.start, arrow.end), "this arrow").help(help))
            }
            (None, Some(arrow)) if arrow.kind == Kind::Arrow => self.without_source(arrow),
            _ => None,
        }
    }

    /// An arrow with nothing before it.
    fn without_source(&self, arrow: Token) -> Option<Diagnostic> {
        if self.before().is_some_and(|before| before.ends_value()) {
            return None;
        }
        let (fault, help) = match self.place {
            Place::Layers => (
                "a layer is missing before this arrow",
                "begin with the first layer: what it reads needs no name",
            ),
            Place::Signature | Place::Body | Place::Formula => {
                ("a value is missing before this arrow", "pipelines begin with a value: `x -> conv3x3(f)`")
            }
        };
        Some(self.error(arrow.start, arrow.end, fault, "comes from nowhere").help(help))
    }

    /// Commas without a value, pairs of numbers.
    fn comma(&self) -> Option<Diagnostic> {
        let (before, token) = (self.before()?, self.token()?);
        let empty = matches!(before.kind, Kind::Comma | Kind::Open)
            && matches!(token.kind, Kind::Comma | Kind::Close);
        if empty && (before.kind, token.kind) != (Kind::Open, Kind::Close) {
            let comma = if before.kind == Kind::Comma { before } else { token };
            let fault = self.error(
                comma.start,
                comma.end,
                "an argument is missing beside this comma",
                "one too many",
            );
            return Some(fault.help("take the comma out"));
        }
        let open = self.tokens[..self.at]
            .iter()
            .rposition(|t| t.kind == Kind::Open && t.depth + 1 == token.depth)?;
        let pair = token.kind == Kind::Comma
            && self.tokens[..open].last().is_none_or(|name| name.kind != Kind::Word);
        let fault =
            self.error(self.tokens[open].start, token.end, "a number is needed here", "these are several");
        pair.then(|| fault.help(signs::ONE_NUMBER))
    }

    /// Signs that have no place where they stand.
    fn sign(&self) -> Option<Diagnostic> {
        let token = self.token()?;
        if token.kind == Kind::Open && self.before().is_some_and(|before| before.kind == Kind::Close) {
            let fault = self.error(token.start, token.end, "a call cannot be called again", "not understood");
            return Some(fault.help("layers follow values by arrows: `x -> conv3x3(f) -> bn -> relu`"));
        }
        let before = self.before().map_or("", |before| self.str(before.start, token.start));
        let rest = &self.text.text[token.end..];
        let among_layers = self.place == Place::Layers && token.depth == 0;
        let known = if among_layers { signs::among_layers(token.kind) } else { None };
        let (fault, help) = known.or_else(|| signs::anywhere(token, before, rest))?;
        Some(self.error(token.start, token.end, fault, "not understood").help(help))
    }

    /// A unit whose result has no name.
    fn no_name(&self) -> Option<Diagnostic> {
        let unbound = self.place == Place::Body
            && self.tokens.iter().all(|token| token.kind != Kind::Equals || token.depth > 0);
        let first = self.tokens.first().filter(|_| unbound)?;
        let length = word(&self.text.text[first.start..]).max(1);
        let fault = self.error(
            first.start,
            first.start + length,
            "the unit's result has no name",
            "begins without one",
        );
        Some(fault.help("bind it to `out`: `out = x -> conv3x3(f)`"))
    }
}

/// A text of at most some words.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(40) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}
