//! Units, pipelines and formulas: text to syntax tree.
//!
//! The grammar is `grammar/unit.pest`. Texts are parsed as they stand in the file, not as YAML hands them over, so
//! every span is exact whatever the style of the scalar. Chains of one precedence are flat lists and the nesting of
//! brackets is capped, so that no recursion over a tree can be driven deep.

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use super::mistake::{self, Place};
use super::tree::{Arg, Binding, Call, Expr, ExprKind, Name, Param};
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Text};

#[allow(missing_docs, reason = "the derive makes an enum of the grammar's rules, documented there")]
mod grammar {
    /// The generated parser.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/unit.pest"]
    pub struct Grammar;
}
use grammar::{Grammar, Rule};

/// Deepest nesting of brackets.
pub const MAX_BRACKETS: usize = 16;

/// Longest name or number.
pub const MAX_WORD: usize = 64;

/// Result of parsing. The diagnostic is boxed: it is rare, and large.
pub type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads a unit's head, `bottleneck(f, stride, groups=1)`.
pub fn signature(text: Text<'_>) -> Parsed<(Name, Vec<Param>)> {
    let mut pairs = parse(Rule::signature, text)?;
    let name = text.name(&take(&mut pairs));
    let params = pairs.next().map_or(Vec::new(), |p| parts(p).map(|p| text.param(p)).collect());
    Ok((name, params))
}

/// Reads a unit's bindings.
pub fn body(text: Text<'_>) -> Parsed<Vec<Binding>> {
    Ok(parse(Rule::body, text)?
        .map(|pair| {
            let mut inner = parts(pair);
            Binding { name: text.name(&take(&mut inner)), value: text.pipeline(take(&mut inner)) }
        })
        .collect())
}

/// Reads layers after one another, `conv3x3(16) -> bn -> relu`.
pub fn layers(text: Text<'_>) -> Parsed<Vec<Call>> {
    Ok(parse(Rule::layers, text)?.map(|p| text.call(p)).collect())
}

/// Reads one value, `1 / sqrt(fan_in)`.
pub fn formula(text: Text<'_>) -> Parsed<Expr> {
    let mut pairs = parse(Rule::formula, text)?;
    Ok(text.pipeline(take(&mut pairs)))
}

type Pairs<'t> = std::vec::IntoIter<Pair<'t, Rule>>;

fn take<'t>(pairs: &mut impl Iterator<Item = Pair<'t, Rule>>) -> Pair<'t, Rule> {
    pairs.next().expect("the grammar promises this part")
}

fn parse(rule: Rule, text: Text<'_>) -> Parsed<Pairs<'_>> {
    check_bounds(text)?;
    let mut found = Grammar::parse(rule, text.text).map_err(|e| syntax(rule, text, &e))?;
    Ok(parts(take(&mut found)).collect::<Vec<_>>().into_iter())
}

/// What a pair is made of, without punctuation.
fn parts(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    use Rule::{EOI, arrow, close, comma, equals};
    pair.into_inner().filter(|p| !matches!(p.as_rule(), EOI | arrow | close | comma | equals))
}

/// Checks that no recursion over the text or its tree goes deep, and that no word is longer than a line. A minus sign
/// nests like a bracket: `- - - 1`, also with comments between.
fn check_bounds(text: Text<'_>) -> Parsed<()> {
    let (mut depth, mut minuses, mut word, mut comment) = (0usize, 0, 0, false);
    for (at, c) in text.text.bytes().enumerate() {
        let in_word = !comment && (c.is_ascii_alphanumeric() || c == b'_');
        word = if in_word { word + 1 } else { 0 };
        if word > MAX_WORD {
            let fault =
                Diagnostic::error("this word is too long", text.at(at, at + 1), "one letter too many");
            return Err(Box::new(fault.help(format!("{MAX_WORD} letters and digits are the limit"))));
        }
        match c {
            b'\n' => comment = false,
            _ if comment => {}
            b'#' => comment = true,
            b' ' | b'\t' | b'\r' => {}
            b'-' => minuses += 1,
            _ => {
                minuses = 0;
                match c {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        if depth > MAX_BRACKETS || minuses > MAX_BRACKETS {
            let fault = Diagnostic::error("nested too deeply", text.at(at, at + 1), "one level too many");
            let help = format!("{MAX_BRACKETS} levels are the limit: bind a part to a name");
            return Err(Box::new(fault.help(help)));
        }
    }
    Ok(())
}

fn syntax(rule: Rule, text: Text<'_>, error: &pest::error::Error<Rule>) -> Box<Diagnostic> {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let place = match rule {
        Rule::signature => Place::Signature,
        Rule::body => Place::Body,
        Rule::layers => Place::Layers,
        _ => Place::Formula,
    };
    if let Some(cause) = mistake::explain(text, at, place) {
        return Box::new(cause);
    }
    let rest = &text.text[at..];
    let width = token(rest);
    let found = if width == 0 { "the text ends".to_string() } else { format!("found `{}`", &rest[..width]) };
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => expected(positives),
        ErrorVariant::CustomError { message } => message.clone(),
    };
    let fault = format!("expected {expected}, {found}");
    let fault = Diagnostic::error(fault, text.at(at, at + width), "not understood");
    Box::new(fault.help(match place {
        Place::Signature => "a signature is `name(f, stride, groups=1)`",
        Place::Body => {
            "a unit is a list of `name = value` that ends with `out`: `out = x -> conv3x3(f) -> bn`"
        }
        Place::Layers => "layers follow one another by arrows: `conv3x3(16) -> bn -> relu`",
        Place::Formula => "a formula is a number, a name, or computed from them: `16 + 8 * unit`",
    }))
}

/// Length of the token that a text begins with.
fn token(text: &str) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.chars().next() {
        None => 0,
        Some(first) if word(first) => text.find(|c| !word(c)).unwrap_or(text.len()),
        Some('-') if text.starts_with("->") => 2,
        Some(first) => first.len_utf8(),
    }
}

fn expected(rules: &[Rule]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        let name = match rule {
            Rule::EOI => "the end",
            Rule::name | Rule::signature => "a name",
            Rule::parameters | Rule::arguments => "`(`",
            Rule::parameter => "a parameter",
            Rule::argument => "an argument",
            Rule::body | Rule::binding => "a binding `name = value`",
            Rule::layers | Rule::call => "a layer",
            Rule::plus | Rule::minus | Rule::times | Rule::divide => "an operator",
            Rule::arrow => "`->`",
            Rule::comma => "`,`",
            Rule::close => "`)`",
            Rule::equals => "`=`",
            Rule::number | Rule::digits => "a number",
            Rule::formula | Rule::pipeline | Rule::sum | Rule::product | Rule::factor | Rule::negation => {
                "a value"
            }
            Rule::WHITESPACE | Rule::COMMENT => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    match names.split_last() {
        None => "`->`, an operator or the end".into(),
        Some((last, [])) => (*last).into(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

impl Text<'_> {
    fn at(&self, start: usize, end: usize) -> Span {
        let base = self.span.start;
        Span { start: base + start as u32, end: base + end as u32, ..self.span }
    }

    /// The span of a pair, without the white space that a rule may have taken in at its end.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let (start, end) = (pair.as_span().start(), pair.as_span().end());
        let text = &self.text[start..end];
        self.at(start, start + code_length(text))
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Name { text: pair.as_str().to_string(), span: self.span(pair) }
    }

    fn param(&self, pair: Pair<'_, Rule>) -> Param {
        let mut inner = parts(pair);
        Param { name: self.name(&take(&mut inner)), default: inner.next().map(|p| self.pipeline(p)) }
    }

    fn pipeline(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let start = self.chain(take(&mut inner));
        let calls: Vec<Call> = inner.map(|p| self.call(p)).collect();
        if calls.is_empty() {
            return start;
        }
        Expr { kind: ExprKind::Pipeline(Box::new(start), calls), span }
    }

    /// A sum of products or a product of factors.
    fn chain(&self, pair: Pair<'_, Rule>) -> Expr {
        let (span, rule) = (self.span(&pair), pair.as_rule());
        let mut members = Vec::new();
        let mut inverse = false;
        for part in parts(pair) {
            match part.as_rule() {
                Rule::plus | Rule::times => inverse = false,
                Rule::minus | Rule::divide => inverse = true,
                Rule::product => members.push((inverse, self.chain(part))),
                _ => members.push((inverse, self.factor(part))),
            }
        }
        if members.len() == 1 {
            return members.remove(0).1;
        }
        let kind = if rule == Rule::sum { ExprKind::Sum(members) } else { ExprKind::Product(members) };
        Expr { kind, span }
    }

    fn factor(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let inner = take(&mut parts(pair));
        let kind = match inner.as_rule() {
            Rule::number => {
                // The grammar admits nothing that f64 does not read.
                let digits = inner.as_str().replace('_', "");
                ExprKind::Number(digits.parse().unwrap_or(f64::NAN))
            }
            Rule::call => ExprKind::Call(self.call(inner)),
            Rule::negation => {
                let mut rest = parts(inner).skip(1);
                ExprKind::Negate(Box::new(self.factor(take(&mut rest))))
            }
            _ => return self.pipeline(inner),
        };
        Expr { kind, span }
    }

    fn call(&self, pair: Pair<'_, Rule>) -> Call {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let name = self.name(&take(&mut inner));
        let args = inner.next().map(|p| parts(p).map(|p| self.arg(p)).collect());
        Call { name, args, span }
    }

    fn arg(&self, pair: Pair<'_, Rule>) -> Arg {
        let mut inner = parts(pair);
        let first = take(&mut inner);
        match inner.next() {
            Some(value) => Arg { name: Some(self.name(&first)), value: self.pipeline(value) },
            None => Arg { name: None, value: self.pipeline(first) },
        }
    }
}

/// Length of a text without the white space and comments at its end.
fn code_length(text: &str) -> usize {
    let mut end = 0;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or("").trim_end();
        if !code.trim_start().is_empty() {
            end = offset + code.len();
        }
        offset += line.len();
    }
    end
}
