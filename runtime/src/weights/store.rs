//! Tensors by name.

use std::collections::BTreeMap;

use resnetc_compiler::ir::types::Shape;

use crate::error::{Error, Result};

/// A tensor in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Logical sizes.
    pub shape: Shape,
    /// Elements, row-major in the order of the shape.
    pub data: Vec<f32>,
}

/// Tensors by name, in the names' order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParamStore {
    tensors: BTreeMap<String, Tensor>,
    /// Types of what was left out.
    integers: BTreeMap<String, String>,
}

impl ParamStore {
    /// Without tensors.
    pub fn new() -> Self {
        ParamStore::default()
    }

    /// Adds or replaces a tensor.
    ///
    /// # Panics
    /// Where the number of elements is not the shape's.
    pub fn insert(&mut self, name: impl Into<String>, shape: Shape, data: Vec<f32>) {
        let name = name.into();
        assert_eq!(shape.numel(), Some(data.len()), "`{name}` of shape {shape} has {} elements", data.len());
        self.tensors.insert(name, Tensor { shape, data });
    }

    /// Remembers that a file has whole numbers under this name, of the type `found`. No network has such tensors; PyTorch's
    /// counters of steps (`num_batches_tracked`) are some.
    pub fn leave_out(&mut self, name: impl Into<String>, found: impl Into<String>) {
        self.integers.insert(name.into(), found.into());
    }

    /// What was left out, with its types.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        self.integers.iter().map(|(name, found)| (name.as_str(), found.as_str()))
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The elements of the tensor of a name, which must have that shape.
    pub fn expect(&self, name: &str, shape: &Shape) -> Result<&[f32]> {
        let missing = || match self.integers.get(name) {
            Some(found) => Error::NotFloats { name: name.to_owned(), found: found.clone() },
            None => Error::MissingTensor { name: name.to_owned() },
        };
        let tensor = self.get(name).ok_or_else(missing)?;
        if tensor.shape != *shape {
            return Err(Error::WrongShape {
                name: name.to_owned(),
                expected: shape.clone(),
                found: tensor.shape.clone(),
            });
        }
        Ok(&tensor.data)
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}
