//! The messages of ONNX (`onnx.proto`) that a network for inference is made of, with their fields' numbers.

use std::fmt;

use crate::wire::{self, Sink};

/// `ModelProto`
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Version of the format itself.
    pub ir_version: i64,
    /// Version of the set of operators.
    pub opset: i64,
    /// Version of the program that made it.
    pub producer_version: String,
    /// For people.
    pub doc: String,
    /// Facts by their names.
    pub metadata: Vec<(String, String)>,
    /// The network.
    pub graph: Graph,
}

/// `GraphProto`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// Name of the network.
    pub name: String,
    /// Operators, each behind those that it reads from.
    pub nodes: Vec<Node>,
    /// Weights and constants.
    pub initializers: Vec<Tensor>,
    /// What is fed.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
}

/// `NodeProto`
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique.
    pub name: String,
    /// The operator.
    pub op: &'static str,
    /// Names of what it reads.
    pub inputs: Vec<String>,
    /// Name of its result.
    pub output: String,
    /// By their names.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// `AttributeProto`
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A float.
    Float(f32),
    /// A word.
    Text(&'static str),
}

/// `TensorProto`
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Unique.
    pub name: String,
    /// Sizes.
    pub dims: Vec<usize>,
    /// Elements, row-major.
    pub values: Values,
}

/// Elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Floats.
    Floats(Vec<f32>),
    /// Whole numbers: shapes.
    Ints(Vec<i64>),
}

/// `ValueInfoProto` of floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Name of the value.
    pub name: String,
    /// Its sizes.
    pub dims: Vec<Dim>,
}

/// `TensorShapeProto.Dimension`
#[derive(Debug, Clone, PartialEq)]
pub enum Dim {
    /// Fixed.
    Size(usize),
    /// Free; equal names are equal sizes.
    Name(&'static str),
}

/// `TensorProto.DataType`
const FLOAT: i64 = 1;
const INT64: i64 = 7;

impl Model {
    /// The bytes of a file; equal models give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size = wire::size(&|out| self.write(out));
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, out: &mut dyn Sink) {
        wire::int(out, 1, self.ir_version);
        wire::text(out, 2, "resnetc");
        wire::text(out, 3, &self.producer_version);
        wire::text(out, 6, &self.doc);
        wire::message(out, 7, &|out| self.graph.write(out));
        // The set without a domain is ONNX's own.
        wire::message(out, 8, &|out| {
            wire::text(out, 1, "");
            wire::int(out, 2, self.opset);
        });
        for (key, value) in &self.metadata {
            wire::message(out, 14, &|out| {
                wire::text(out, 1, key);
                wire::text(out, 2, value);
            });
        }
    }
}

impl Graph {
    fn write(&self, out: &mut dyn Sink) {
        self.nodes.iter().for_each(|node| wire::message(out, 1, &|out| node.write(out)));
        wire::text(out, 2, &self.name);
        self.initializers.iter().for_each(|tensor| wire::message(out, 5, &|out| tensor.write(out)));
        self.inputs.iter().for_each(|port| wire::message(out, 11, &|out| port.write(out)));
        self.outputs.iter().for_each(|port| wire::message(out, 12, &|out| port.write(out)));
    }
}

impl Node {
    fn write(&self, out: &mut dyn Sink) {
        self.inputs.iter().for_each(|input| wire::text(out, 1, input));
        wire::text(out, 2, &self.output);
        wire::text(out, 3, &self.name);
        wire::text(out, 4, self.op);
        for (name, attribute) in &self.attributes {
            wire::message(out, 5, &|out| {
                wire::text(out, 1, name);
                attribute.write(out);
            });
        }
    }
}

impl Attribute {
    /// The value, and `AttributeProto.type`.
    fn write(&self, out: &mut dyn Sink) {
        match self {
            Attribute::Float(value) => {
                wire::float(out, 2, *value);
                wire::int(out, 20, 1);
            }
            Attribute::Int(value) => {
                wire::int(out, 3, *value);
                wire::int(out, 20, 2);
            }
            Attribute::Text(value) => {
                wire::text(out, 4, value);
                wire::int(out, 20, 3);
            }
            Attribute::Ints(values) => {
                values.iter().for_each(|&value| wire::int(out, 8, value));
                wire::int(out, 20, 7);
            }
        }
    }
}

impl Tensor {
    fn write(&self, out: &mut dyn Sink) {
        self.dims.iter().for_each(|&size| wire::int(out, 1, size as i64));
        match &self.values {
            Values::Floats(values) => {
                wire::int(out, 2, FLOAT);
                wire::text(out, 8, &self.name);
                wire::floats(out, 9, values);
            }
            Values::Ints(values) => {
                wire::int(out, 2, INT64);
                wire::text(out, 8, &self.name);
                wire::ints(out, 9, values);
            }
        }
    }
}

impl Port {
    fn write(&self, out: &mut dyn Sink) {
        wire::text(out, 1, &self.name);
        wire::message(out, 2, &|out| {
            wire::message(out, 1, &|out| {
                wire::int(out, 1, FLOAT);
                wire::message(out, 2, &|out| {
                    self.dims.iter().for_each(|dim| wire::message(out, 1, &|out| dim.write(out)));
                });
            });
        });
    }
}

impl Dim {
    fn write(&self, out: &mut dyn Sink) {
        match self {
            Dim::Size(size) => wire::int(out, 1, *size as i64),
            Dim::Name(name) => wire::text(out, 2, name),
        }
    }
}

/// A line for the model, each port, each tensor and each operator; no weights.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model ir {} opset {}: {}", self.ir_version, self.opset, self.doc)?;
        self.metadata.iter().try_for_each(|(key, value)| writeln!(f, "  {key} = {value}"))?;
        self.graph.inputs.iter().try_for_each(|port| writeln!(f, "input {port}"))?;
        self.graph.initializers.iter().try_for_each(|tensor| writeln!(f, "tensor {tensor}"))?;
        self.graph.nodes.iter().try_for_each(|node| writeln!(f, "{node}"))?;
        self.graph.outputs.iter().try_for_each(|port| writeln!(f, "output {port}"))
    }
}

/// `logits [N, 10]`
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dim = |dim: &Dim| match dim {
            Dim::Size(size) => size.to_string(),
            Dim::Name(name) => (*name).to_owned(),
        };
        let dims: Vec<String> = self.dims.iter().map(dim).collect();
        write!(f, "{} [{}]", self.name, dims.join(", "))
    }
}

/// `stem.conv1.weight float [16, 3, 3, 3]`; whole numbers are shown.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.values {
            Values::Floats(_) => write!(f, "{} float {:?}", self.name, self.dims),
            Values::Ints(values) => write!(f, "{} int64 {values:?}", self.name),
        }
    }
}

/// `Conv(input, stem.conv1.weight) -> stem.conv1 {group: 1}`; a name that is not the result's is shown.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) -> {}", self.op, self.inputs.join(", "), self.output)?;
        if self.name != self.output {
            write!(f, " as {}", self.name)?;
        }
        if self.attributes.is_empty() {
            return Ok(());
        }
        let attribute = |(name, value): &(&str, Attribute)| match value {
            Attribute::Int(value) => format!("{name}: {value}"),
            Attribute::Ints(values) => format!("{name}: {values:?}"),
            Attribute::Float(value) => format!("{name}: {value:?}"),
            Attribute::Text(value) => format!("{name}: {value}"),
        };
        let list: Vec<String> = self.attributes.iter().map(attribute).collect();
        write!(f, " {{{}}}", list.join(", "))
    }
}
