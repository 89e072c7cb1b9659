//! Texts that YAML cuts at a comma. Inside braces and brackets a comma ends a plain text, so that of
//! `{unit: bottleneck(groups=32, base_width=4)}` two keys are left. The pieces are put together again, with a fault.

use super::node::{Kind, Node};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A key with its value, before it is known that the key is a name.
#[derive(Clone)]
pub struct Pair {
    /// The key.
    pub key: Node,
    /// The value; an empty one where nothing is written.
    pub value: Node,
}

impl Pair {
    /// Whether nothing is written behind the key.
    fn is_key_alone(&self) -> bool {
        self.value.is_empty() && !self.value.is_null()
    }
}

/// The text that spans point into.
#[derive(Clone, Copy)]
pub struct Body<'t> {
    /// Its characters.
    pub text: &'t str,
    /// What its first byte is called.
    pub base: usize,
}

impl Body<'_> {
    fn slice(&self, start: u32, end: u32) -> &str {
        self.text.get(start as usize - self.base..end as usize - self.base).unwrap_or("")
    }

    /// How many of the pieces that follow belong to one that is cut; none where it is whole, or never ends.
    fn pieces(&self, first: &Node, next: impl Iterator<Item = Node>) -> Option<usize> {
        let is_open = |end: u32| {
            let text = self.slice(first.span.start, end);
            text.matches('(').count() > text.matches(')').count()
        };
        if first.plain().is_none() || !is_open(first.span.end) {
            return None;
        }
        let pieces = next.take_while(|piece| piece.plain().is_some());
        pieces.map(|piece| is_open(piece.span.end)).position(|open| !open).map(|index| index + 1)
    }

    /// The node that begins with one piece and ends with another. `before` is what stands before it, in the help.
    fn join(&self, first: &Node, last: &Node, before: &str, faults: &mut Vec<Diagnostic>) -> Node {
        let span = Span { end: last.span.end, ..first.span };
        let text = self.slice(span.start, span.end);
        let rest = Span { start: first.span.end, ..span };
        let fault = Diagnostic::error("YAML cuts this text at the comma", first.span, "one text ends here");
        let help = format!("inside braces and brackets, quote a text that has commas: `{before}\"{text}\"`");
        faults.push(fault.label(rest, "and another one follows").help(help));
        Node { span, kind: Kind::plain(text) }
    }
}

/// Puts the entries of a map in braces together again. `{mine(f, stride): ...}` is a key in pieces.
pub fn join_pairs(pairs: &[Pair], body: Body<'_>, faults: &mut Vec<Diagnostic>) -> Vec<Pair> {
    let mut joined = Vec::new();
    let mut at = 0;
    while let Some(Pair { mut key, mut value }) = pairs.get(at).cloned() {
        let keys = |at: usize| pairs[at + 1..].iter().map(|pair| pair.key.clone());
        if pairs[at].is_key_alone()
            && let Some(pieces) = body.pieces(&key, keys(at))
        {
            at += pieces;
            key = body.join(&key, &pairs[at].key, "", faults);
            value = pairs[at].value.clone();
        }
        if let Some(pieces) = body.pieces(&value, keys(at)) {
            at += pieces;
            value = body.join(&value, &pairs[at].key, &format!("{}: ", key.plain().unwrap_or("")), faults);
        }
        joined.push(Pair { key, value });
        at += 1;
    }
    joined
}

/// Puts the items of a list in brackets together again: `[max(16, f), 32]`.
pub fn join_items(items: &[Node], body: Body<'_>, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut joined = Vec::new();
    let mut at = 0;
    while let Some(mut item) = items.get(at).cloned() {
        if let Some(pieces) = body.pieces(&item, items[at + 1..].iter().cloned()) {
            at += pieces;
            item = body.join(&item, &items[at], "", faults);
        }
        joined.push(item);
        at += 1;
    }
    joined
}
