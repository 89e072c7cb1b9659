//! The parts of an ONNX model that networks are made of. Texts and numbers stay where they lie in the file.

use super::wire::{Broken, Value, fields, number};

/// A graph.
#[derive(Debug, Default)]
pub(crate) struct Model<'b> {
    pub(crate) nodes: Vec<Node<'b>>,
    pub(crate) tensors: Vec<Tensor<'b>>,
    pub(crate) inputs: Vec<Input<'b>>,
    pub(crate) outputs: Vec<Input<'b>>,
}

/// A node.
#[derive(Debug, Default)]
pub(crate) struct Node<'b> {
    pub(crate) inputs: Vec<&'b str>,
    pub(crate) outputs: Vec<&'b str>,
    pub(crate) name: &'b str,
    pub(crate) operator: &'b str,
    pub(crate) domain: &'b str,
    pub(crate) attributes: Vec<Attribute<'b>>,
}

/// An attribute of a node; kinds that no layer here has are not kept.
#[derive(Debug, Default)]
pub(crate) struct Attribute<'b> {
    pub(crate) name: &'b str,
    pub(crate) float: f32,
    pub(crate) int: i64,
    pub(crate) text: &'b [u8],
    pub(crate) tensor: Option<Tensor<'b>>,
    pub(crate) ints: Vec<i64>,
}

/// A constant tensor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tensor<'b> {
    pub(crate) name: &'b str,
    pub(crate) sizes: Vec<i64>,
    pub(crate) kind: u64,
    /// Little-endian elements.
    pub(crate) raw: &'b [u8],
    /// Elements that are fields of their own.
    pub(crate) floats: Vec<f32>,
    pub(crate) ints: Vec<i64>,
    /// Whether the elements lie in another file.
    pub(crate) outside: bool,
}

/// An input or output of the graph; a size is `None` where it is open.
#[derive(Debug, Default)]
pub(crate) struct Input<'b> {
    pub(crate) name: &'b str,
    pub(crate) sizes: Option<Vec<Option<i64>>>,
}

type Read<T> = Result<T, Broken>;

/// Reads the model.
pub(crate) fn model(bytes: &[u8]) -> Read<Model<'_>> {
    let mut found = None;
    for field in fields(bytes) {
        if let (7, Value::Bytes(graph)) = field? {
            found = Some(graph);
        }
    }
    graph(found.ok_or("it has no graph")?)
}

fn graph(bytes: &[u8]) -> Read<Model<'_>> {
    let mut model = Model::default();
    for field in fields(bytes) {
        let (field, Value::Bytes(value)) = field? else { continue };
        match field {
            1 => model.nodes.push(node(value)?),
            5 => model.tensors.push(tensor(value)?),
            11 => model.inputs.push(input(value)?),
            12 => model.outputs.push(input(value)?),
            15 => return Err("it has sparse tensors"),
            _ => {}
        }
    }
    Ok(model)
}

fn text(bytes: &[u8]) -> Read<&str> {
    std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8")
}

fn node(bytes: &[u8]) -> Read<Node<'_>> {
    let mut node = Node::default();
    for field in fields(bytes) {
        let (field, Value::Bytes(value)) = field? else { continue };
        match field {
            1 => node.inputs.push(text(value)?),
            2 => node.outputs.push(text(value)?),
            3 => node.name = text(value)?,
            4 => node.operator = text(value)?,
            5 => node.attributes.push(attribute(value)?),
            7 => node.domain = text(value)?,
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8]) -> Read<Attribute<'_>> {
    let mut attribute = Attribute::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(name)) => attribute.name = text(name)?,
            (2, Value::Four(float)) => attribute.float = f32::from_le_bytes(float),
            (3, Value::Number(int)) => attribute.int = int.cast_signed(),
            (4, Value::Bytes(value)) => attribute.text = value,
            (5, Value::Bytes(value)) => attribute.tensor = Some(tensor(value)?),
            (8, value) => ints(value, &mut attribute.ints)?,
            _ => {}
        }
    }
    Ok(attribute)
}

/// Numbers of a repeated field, packed or not.
fn ints(value: Value<'_>, into: &mut Vec<i64>) -> Read<()> {
    match value {
        Value::Number(int) => into.push(int.cast_signed()),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                into.push(number(&mut packed)?.cast_signed());
            }
        }
        Value::Eight(_) | Value::Four(_) => return Err("a whole number is written as another kind"),
    }
    Ok(())
}

fn tensor(bytes: &[u8]) -> Read<Tensor<'_>> {
    let mut tensor = Tensor::default();
    for field in fields(bytes) {
        match field? {
            (1, value) => ints(value, &mut tensor.sizes)?,
            (2, Value::Number(kind)) => tensor.kind = kind,
            (4, Value::Four(float)) => tensor.floats.push(f32::from_le_bytes(float)),
            (4, Value::Bytes(packed)) => {
                let floats = packed.chunks_exact(4).map(|four| [four[0], four[1], four[2], four[3]]);
                tensor.floats.extend(floats.map(f32::from_le_bytes));
            }
            (5 | 7, value) => ints(value, &mut tensor.ints)?,
            (8, Value::Bytes(name)) => tensor.name = text(name)?,
            (9, Value::Bytes(raw)) => tensor.raw = raw,
            (14, Value::Number(place)) => tensor.outside = place != 0,
            _ => {}
        }
    }
    Ok(tensor)
}

fn input(bytes: &[u8]) -> Read<Input<'_>> {
    let mut input = Input::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(name)) => input.name = text(name)?,
            (2, Value::Bytes(kind)) => input.sizes = sizes(kind)?,
            _ => {}
        }
    }
    Ok(input)
}

/// Sizes of a tensor's type: type, tensor type, shape, dimensions.
fn sizes(kind: &[u8]) -> Read<Option<Vec<Option<i64>>>> {
    let inner = |bytes, wanted| -> Read<Option<&[u8]>> {
        for field in fields(bytes) {
            if let (field, Value::Bytes(value)) = field?
                && field == wanted
            {
                return Ok(Some(value));
            }
        }
        Ok(None)
    };
    let Some(tensor) = inner(kind, 1)? else { return Ok(None) };
    let Some(shape) = inner(tensor, 2)? else { return Ok(None) };
    let mut sizes = Vec::new();
    for field in fields(shape) {
        let (1, Value::Bytes(dimension)) = field? else { continue };
        let mut size = None;
        for field in fields(dimension) {
            if let (1, Value::Number(value)) = field? {
                size = Some(value.cast_signed());
            }
        }
        sizes.push(size);
    }
    Ok(Some(sizes))
}

impl<'b> Node<'b> {
    /// An attribute by its name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute<'b>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &str, usual: i64) -> i64 {
        self.attribute(name).map_or(usual, |attribute| attribute.int)
    }

    /// A number.
    pub(crate) fn float(&self, name: &str, usual: f32) -> f32 {
        self.attribute(name).map_or(usual, |attribute| attribute.float)
    }

    /// Whole numbers.
    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// A word.
    pub(crate) fn word(&self, name: &str) -> &str {
        let text = self.attribute(name).and_then(|attribute| std::str::from_utf8(attribute.text).ok());
        text.unwrap_or_default()
    }
}

impl Tensor<'_> {
    /// Its sizes, where they are sizes.
    pub(crate) fn shape(&self) -> Option<Vec<usize>> {
        self.sizes.iter().map(|&size| usize::try_from(size).ok()).collect()
    }

    /// Its elements as floats; nothing where their number is not that of the sizes, or they are of another kind.
    pub(crate) fn to_floats(&self) -> Option<Vec<f32>> {
        let count = self.shape()?.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
        let halves = || self.raw.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        let floats: Vec<f32> = match self.kind {
            1 if self.raw.is_empty() => self.floats.clone(),
            1 => self
                .raw
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
            10 => halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect(),
            16 => halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect(),
            _ => return None,
        };
        (floats.len() == count && !self.outside).then_some(floats)
    }

    /// Its elements as whole numbers; likewise.
    pub(crate) fn to_ints(&self) -> Option<Vec<i64>> {
        let ints: Vec<i64> = match self.kind {
            6 | 7 if self.raw.is_empty() => self.ints.clone(),
            7 => {
                let eights = self
                    .raw
                    .chunks_exact(8)
                    .map(|eight| i64::from_le_bytes(eight.try_into().expect("eight")));
                eights.collect()
            }
            6 => {
                let fours =
                    self.raw.chunks_exact(4).map(|four| i32::from_le_bytes(four.try_into().expect("four")));
                fours.map(i64::from).collect()
            }
            _ => return None,
        };
        Some(ints)
    }
}
