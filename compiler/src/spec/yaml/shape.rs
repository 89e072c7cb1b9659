//! What may stand under a key, as data. The readers take keys, ranges, choices and defaults from these tables. The JSON
//! schema ([`crate::spec::schema`]) and the reference ([`mod@crate::spec::reference`]) are written from them, so that editors,
//! documents and the compiler agree.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::spec::default::Default;

/// A map with known keys.
#[derive(Debug)]
pub struct Section {
    /// What people call it: `a stage`, or its key in backquotes.
    pub what: &'static str,
    /// In the order in which they are usually written.
    pub keys: &'static [Key],
}

/// One of a kind, with its settings.
#[derive(Debug)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// What it is, one line.
    pub about: &'static str,
    /// Its settings.
    pub settings: Section,
}

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it means, one line.
    pub about: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// Whether it may be left out.
    pub need: Need,
    /// What holds where it is left out.
    pub default: Default,
    /// A value to write, for those who left a needed key out; empty for other keys.
    pub example: &'static str,
}

/// Whether a key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It may.
    Never,
    /// The section is nothing without it; what a spec extends may have it.
    Always,
    /// It may where the value of another key is a list. Of sections in lists, which no base completes.
    UnlessList(&'static str),
}

/// A kind of value.
#[derive(Debug)]
pub enum Shape {
    /// A whole number.
    Count(u64, u64),
    /// A finite number.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
    /// Letters, digits, `_`, `-` and `.`.
    Name,
    /// Any text.
    Text,
    /// A size of memory with its unit: `4GiB`.
    Bytes,
    /// What a measured figure stays below: `< 5`.
    Bound,
    /// A path that [`crate::datasets::is_path`] takes for one.
    Path,
    /// Text in the unit language.
    Language,
    /// One of some words.
    Word(&'static [&'static str]),
    /// One of some words, or text in the unit language that is a pipeline or a layer with arguments.
    WordOrLayers(&'static [&'static str]),
    /// A whole number or a formula.
    Formula(u64, u64),
    /// That many of one kind.
    List(&'static Shape, usize, Option<usize>),
    /// A map with known keys.
    Section(&'static Section),
    /// A name alone, or a map from one of the names to its settings.
    Choice(&'static [Choice]),
    /// The same, with several names in one map.
    Steps(&'static [Choice]),
    /// A map from signatures of units, `mine(f, stride)`, to their bodies.
    Units,
    /// A map from keys, as `--set` has them, to lists of values and ranges of whole numbers.
    Axes,
    /// Whatever YAML has.
    Anything,
    /// Any of some kinds.
    Any(&'static [Shape]),
}

impl Key {
    /// A key that may be left out; nothing stands for it then.
    pub const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Key { name, about, shape, need: Need::Never, default: Default::Nothing, example: "" }
    }

    /// A key that must be there. `example` is a value to write.
    pub const fn required(
        name: &'static str,
        shape: Shape,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Key { need: Need::Always, example, ..Key::new(name, shape, about) }
    }

    /// The same key, which may be left out where the value of another is a list.
    pub const fn unless_list(self, other: &'static str) -> Self {
        Key { need: Need::UnlessList(other), ..self }
    }

    /// The same key with a value that stands for it, as a spec would write it.
    pub const fn default(self, value: &'static str) -> Self {
        Key { default: Default::Value(value), ..self }
    }

    /// The same key with words for what stands for it.
    pub const fn default_is(self, words: &'static str) -> Self {
        Key { default: Default::Told(words), ..self }
    }

    /// The same key with a value to write for those who left it out though their spec needs it.
    pub const fn example(self, value: &'static str) -> Self {
        Key { example: value, ..self }
    }

    /// What may stand under the key or, of a list, in it.
    fn item(&self) -> &Shape {
        match &self.shape {
            Shape::List(item, ..) => item,
            shape => shape,
        }
    }

    /// The range of a whole number, or of those in a list.
    pub fn count(&self) -> RangeInclusive<u64> {
        match self.item() {
            Shape::Count(least, most) => *least..=*most,
            other => unreachable!("`{}` is read as a whole number but is {other:?}", self.name),
        }
    }

    /// The range of a number, or of those in a list.
    pub fn number(&self) -> RangeInclusive<f64> {
        match self.item() {
            Shape::Number(least, most) => *least..=*most,
            other => unreachable!("`{}` is read as a number but is {other:?}", self.name),
        }
    }

    /// The words that may stand there.
    pub fn words(&self) -> &'static [&'static str] {
        match self.item() {
            Shape::Word(words) | Shape::WordOrLayers(words) => words,
            other => unreachable!("`{}` is read as one of some words but is {other:?}", self.name),
        }
    }
}

impl Section {
    /// Names of the keys.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }

    /// A key of the table.
    pub fn key(&self, name: &str) -> &'static Key {
        let key = self.keys.iter().find(|key| key.name == name);
        key.expect("a reader asks for keys of its own table")
    }

    /// The value that stands for a key.
    pub fn default<T: FromStr>(&self, name: &str) -> T {
        self.key(name).default.read()
    }

    /// The range of a whole number, or of those in a list.
    pub fn count(&self, name: &str) -> RangeInclusive<u64> {
        self.key(name).count()
    }

    /// The range of a number, or of those in a list.
    pub fn number(&self, name: &str) -> RangeInclusive<f64> {
        self.key(name).number()
    }

    /// The words that may stand there.
    pub fn words(&self, name: &str) -> &'static [&'static str] {
        self.key(name).words()
    }
}
