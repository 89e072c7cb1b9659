//! What pickles are made of.

use std::collections::HashMap;

use crate::dtype::DType;

/// What a name of a pickle means. None of them is called: each stands for something that is understood here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// Makes a dictionary.
    Dict,
    /// Makes a tensor of a storage.
    Tensor,
    /// Hands a tensor on.
    Parameter,
    /// The type of a storage.
    Storage(DType),
    /// Makes an array of NumPy.
    Array,
    /// Makes a type of NumPy's elements.
    ElementType,
    /// Makes bytes of a text.
    Encode,
    /// Something whose content nobody asks for.
    Opaque,
}

/// The names that a reader's pickles may use.
pub(crate) struct Vocabulary {
    /// What a name means, of a module; `None`: it is not on the list.
    pub names: fn(&str, &str) -> Option<Global>,
    /// Who needs them: ends "it is none that".
    pub needs: &'static str,
    /// What to do in place of other names: a sentence.
    pub instead: &'static str,
}

/// A value by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(super) u32);

/// A value. Texts are those of the pickle.
#[derive(Debug, Clone)]
pub(crate) enum Value<'p> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that takes more than 64 bits, little-endian.
    Long(&'p [u8]),
    Text(&'p str),
    /// Bytes, or what a text of Python 2 is that is no UTF-8.
    Bytes(&'p [u8]),
    /// Bytes, each as a character.
    Latin1(&'p str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// A part of the file: its key, type, elements, and the element that a view of it begins with.
    Storage {
        key: &'p str,
        dtype: DType,
        elements: usize,
        view: usize,
    },
    /// Of a storage.
    Tensor {
        storage: Id,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
    /// An array of NumPy; nothing before it gets its state.
    Array(Option<Array>),
    /// A type of NumPy's elements, by its name.
    ElementType(&'p str),
    /// Nothing that is asked for.
    Opaque,
}

/// An array of NumPy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    /// Type of its elements.
    pub dtype: Id,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// Its elements.
    pub elements: Id,
}

/// What a pickle makes.
pub(crate) struct Pickled<'p> {
    values: Vec<Value<'p>>,
    /// What it ends with.
    pub root: Id,
    /// The byte behind it.
    pub end: usize,
}

impl<'p> Pickled<'p> {
    pub(super) fn new(values: Vec<Value<'p>>, root: Id, end: usize) -> Self {
        Pickled { values, root, end }
    }

    /// The value of a number.
    pub fn value(&self, id: Id) -> &Value<'p> {
        &self.values[id.0 as usize]
    }

    /// Type and elements of each storage that it names.
    pub fn storages(&self) -> HashMap<&'p str, (DType, usize)> {
        let found = self.values.iter().filter_map(|value| match *value {
            Value::Storage { key, dtype, elements, .. } => Some((key, (dtype, elements))),
            _ => None,
        });
        found.collect()
    }

    /// What it ends with.
    pub fn root(&self) -> &Value<'p> {
        self.value(self.root)
    }
}
