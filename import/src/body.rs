//! A unit as bindings of the unit language, with blanks for its numbers.

use std::collections::HashMap;

use crate::flat::{Flat, Id, Op};
use crate::shortcut::{Shortcut, shares_activation};
use crate::spine::Raw;
use crate::words;

/// A piece of a binding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// As it is.
    Text(String),
    /// A layer, whose numbers are decided later.
    Layer(Id),
}

/// The text of a unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    /// Names and values; the last is `out`.
    pub(crate) bindings: Vec<(String, Vec<Piece>)>,
}

/// What is known of a unit before its text is written.
pub(crate) struct Form<'f> {
    /// The shortcut, where the spec's rule makes it.
    pub(crate) ruled: Option<&'f Shortcut>,
    /// Layers of its main branch that have a name of their own, `pre`, since units that change the shape send their shortcut through
    /// them.
    pub(crate) pre: usize,
}

/// How tight a value holds together.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Tie {
    Name,
    Product,
    Sum,
    Pipe,
}

#[derive(Clone)]
struct Value {
    pieces: Vec<Piece>,
    tie: Tie,
}

impl Value {
    fn name(name: &str) -> Self {
        Value { pieces: vec![Piece::Text(name.to_owned())], tie: Tie::Name }
    }
}

struct Writer<'w> {
    flat: &'w Flat,
    values: HashMap<Id, Value>,
    hints: HashMap<Id, &'static str>,
    body: Body,
}

/// Writes a unit.
pub(crate) fn write(flat: &Flat, raw: &Raw, form: &Form<'_>, uses: &[usize]) -> Body {
    let skipped = form.ruled.map_or(&[][..], |shortcut| &shortcut.layers);
    let mut writer = Writer { flat, values: HashMap::new(), hints: hints(flat, raw), body: Body::default() };
    writer.values.insert(raw.entry, Value::name("x"));
    for &id in &raw.before {
        writer.node(id, false);
    }
    if raw.fork != raw.entry {
        writer.bind(raw.fork, "pre");
    }
    let mut split = form.pre;
    for id in (raw.fork + 1..raw.join).filter(|id| !skipped.contains(id)) {
        writer.node(id, uses[id] > 1);
        if split > 0 {
            split -= 1;
            if split == 0 {
                writer.bind(id, "pre");
            }
        }
    }
    match form.ruled {
        Some(shortcut) => writer.sum(raw, shortcut, form.pre > 0),
        None => writer.node(raw.join, false),
    }
    raw.after.iter().for_each(|&id| writer.node(id, false));
    let end = writer.values.remove(&raw.end()).expect("written last");
    writer.body.bindings.push(("out".to_owned(), end.pieces));
    writer.body
}

/// Names for maps that take part in products.
fn hints(flat: &Flat, raw: &Raw) -> HashMap<Id, &'static str> {
    let mut hints = HashMap::new();
    for node in &flat.nodes[raw.fork + 1..=raw.join] {
        if let (Op::Mul, &[a, b]) = (&node.op, &node.inputs[..]) {
            let pixel = |id: Id| flat.nodes[id].shape[1..] == [1, 1];
            let gate = if pixel(a) { a } else { b };
            hints.insert(gate, "gate");
            hints.entry(if gate == a { b } else { a }).or_insert("main");
        }
    }
    hints
}

impl Writer<'_> {
    /// The value of a node; one with several readers gets a name.
    fn node(&mut self, id: Id, shared: bool) {
        let node = &self.flat.nodes[id];
        let value = match node.op {
            Op::Add => self.joined(&node.inputs, " + ", Tie::Sum),
            Op::Mul => self.joined(&node.inputs, " * ", Tie::Product),
            Op::Concat => self.concat(&node.inputs),
            _ => self.pipe(node.inputs[0], id),
        };
        self.values.insert(id, value);
        if shared {
            self.bind(id, "inner");
        }
    }

    fn pipe(&self, from: Id, layer: Id) -> Value {
        let mut pieces = self.values[&from].pieces.clone();
        pieces.push(Piece::Text(" -> ".to_owned()));
        pieces.push(Piece::Layer(layer));
        Value { pieces, tie: Tie::Pipe }
    }

    fn joined(&mut self, inputs: &[Id], between: &str, tie: Tie) -> Value {
        let mut pieces = Vec::new();
        for (index, &input) in inputs.iter().enumerate() {
            if self.values[&input].tie > tie {
                self.bind(input, "main");
            }
            if index > 0 {
                pieces.push(Piece::Text(between.to_owned()));
            }
            pieces.extend(self.values[&input].pieces.iter().cloned());
        }
        Value { pieces, tie }
    }

    fn concat(&mut self, inputs: &[Id]) -> Value {
        let mut pieces = vec![Piece::Text("concat(".to_owned())];
        for (index, &input) in inputs.iter().enumerate() {
            if self.values[&input].tie == Tie::Pipe {
                self.bind(input, "main");
            }
            pieces.push(Piece::Text(if index > 0 { ", " } else { "" }.to_owned()));
            pieces.extend(self.values[&input].pieces.iter().cloned());
        }
        pieces.push(Piece::Text(")".to_owned()));
        Value { pieces, tie: Tie::Name }
    }

    /// The sum of the main branch and the shortcut, which the spec's rule makes.
    fn sum(&mut self, raw: &Raw, shortcut: &Shortcut, pre: bool) {
        if self.values[&shortcut.main].tie > Tie::Sum {
            self.bind(shortcut.main, "main");
        }
        let through = raw.fork != raw.entry;
        let word = match (through, pre) {
            (true, _) if shortcut.same || !shares_activation(self.flat, raw) => "shortcut(pre)",
            (true, _) | (_, true) => "shortcut(changed=pre)",
            _ => "shortcut",
        };
        let mut pieces = self.values[&shortcut.main].pieces.clone();
        pieces.push(Piece::Text(format!(" + {word}")));
        self.values.insert(raw.join, Value { pieces, tie: Tie::Sum });
    }

    /// Gives a value a name that is free.
    fn bind(&mut self, id: Id, name: &str) {
        let value = &self.values[&id];
        if value.tie == Tie::Name && matches!(value.pieces[..], [Piece::Text(_)]) {
            return;
        }
        let name = self.hints.get(&id).copied().unwrap_or(name);
        let taken = |name: &str| self.body.bindings.iter().any(|(other, _)| other == name);
        let mut free = name.to_owned();
        for number in 2.. {
            if !taken(&free) {
                break;
            }
            free = format!("{name}{number}");
        }
        let value = self.values.insert(id, Value::name(&free)).expect("looked at before");
        self.body.bindings.push((free, value.pieces));
    }
}

impl Body {
    /// Its layers, in the order of the text.
    pub(crate) fn layers(&self) -> Vec<Id> {
        let pieces = self.bindings.iter().flat_map(|(_, pieces)| pieces);
        let layer = |piece: &Piece| match piece {
            Piece::Layer(id) => Some(*id),
            Piece::Text(_) => None,
        };
        pieces.filter_map(layer).collect()
    }

    /// The bindings as text, with each layer written by `layer`, which gets its index.
    pub(crate) fn lines(&self, mut layer: impl FnMut(usize, Id) -> String) -> Vec<(String, String)> {
        let mut index = 0;
        let mut written = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Layer(id) => {
                index += 1;
                layer(index - 1, *id)
            }
        };
        let line =
            |(name, pieces): &(String, Vec<Piece>)| (name.clone(), pieces.iter().map(&mut written).collect());
        self.bindings.iter().map(line).collect()
    }

    /// What it is apart from its numbers.
    pub(crate) fn key(&self, flat: &Flat, eps: f32) -> String {
        let blank = words::Numbers::blank();
        let lines = self.lines(|_, id| words::layer(&flat.nodes[id].op, &blank, eps));
        lines.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
    }
}
