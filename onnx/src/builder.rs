//! What is written so far: operators, tensors, and what each value of the network is called.

use std::collections::{HashMap, HashSet};

use resnetc_compiler::ir::graph::{Graph, NodeId, Value};
use resnetc_compiler::ir::op::{Op, Param, Recipe};
use resnetc_compiler::ir::types::Shape;

use crate::error::Error;
use crate::proto::{self, Attribute, Node, Tensor, Values};

/// Where the values of persistent tensors come from.
pub trait Weights {
    /// Those of the tensor of that name, shape and recipe, row-major in the order of the shape.
    ///
    /// # Errors
    /// Why it cannot be had: the tensor's name, and what is wrong.
    fn tensor(&self, name: &str, shape: &Shape, recipe: &Recipe) -> Result<Vec<f32>, String>;
}

/// Most bytes of a message of protocol buffers, less what operators and names may take.
pub const MOST_BYTES: u64 = (1 << 31) - (1 << 24);

/// Named attributes of an operator.
pub type Attributes = Vec<(&'static str, Attribute)>;

/// A model in the making.
pub struct Builder<'g> {
    /// The network.
    pub graph: &'g Graph,
    /// The set of operators that it is written in.
    pub opset: i64,
    weights: &'g dyn Weights,
    made: proto::Graph,
    /// Names of values, also of those that an operator only hands on.
    names: HashMap<Value, String>,
    /// Those names.
    bound: HashSet<String>,
    /// Names of tensors and values that are taken.
    taken: HashSet<String>,
    node_names: HashSet<String>,
    tensors: HashSet<String>,
    bytes: u64,
}

impl<'g> Builder<'g> {
    /// Nothing written yet. The names of the network's results are taken from the beginning.
    pub fn new(graph: &'g Graph, weights: &'g dyn Weights, opset: i64) -> Self {
        let made = proto::Graph { name: graph.name.clone(), ..proto::Graph::default() };
        let taken = graph.outputs.iter().map(|(name, _)| name.clone()).collect();
        let (names, bound) = (HashMap::new(), HashSet::new());
        let (node_names, tensors) = (HashSet::new(), HashSet::new());
        Builder { graph, opset, weights, made, names, bound, taken, node_names, tensors, bytes: 0 }
    }

    /// What was written.
    pub fn finish(self) -> proto::Graph {
        self.made
    }

    /// What is written, to be added to.
    pub fn made(&mut self) -> &mut proto::Graph {
        &mut self.made
    }

    /// Sizes of a value.
    pub fn shape(&self, value: Value) -> &'g [usize] {
        let found = self.graph.value_type(value).expect("a graph that is written has types");
        &found.shape.0
    }

    /// What an operand that is no parameter is called.
    pub fn name(&self, value: Value) -> String {
        self.names.get(&value).expect("operands come before their users").clone()
    }

    /// A free name for a value or a tensor: that one, or one made of it.
    pub fn free(&mut self, wanted: &str) -> String {
        fresh(&mut self.taken, wanted)
    }

    /// Calls a value so.
    pub fn bind(&mut self, value: impl Into<Value>, name: impl Into<String>) {
        let name = name.into();
        self.bound.insert(name.clone());
        self.names.insert(value.into(), name);
    }

    /// Adds an operator for a node of the network; the name of its result.
    pub fn emit(
        &mut self,
        id: NodeId,
        op: &'static str,
        inputs: Vec<String>,
        attributes: Attributes,
    ) -> String {
        let wanted = format!("{}/{op}", self.graph.node(id).name);
        let name = fresh(&mut self.node_names, &wanted);
        let output = self.free(&name);
        self.made.nodes.push(Node { name, op, inputs, output: output.clone(), attributes });
        output
    }

    /// Says that the operator that was added last computes a node of the network: it gets the node's name, and so does its
    /// result, unless that is a result of the network, which has a name of its own.
    pub fn close(&mut self, id: NodeId, result: String) {
        let graph = self.graph;
        let value = Value::from(id);
        let made = self.made.nodes.last().is_some_and(|node| node.output == result);
        let own = made && !self.bound.contains(&result);
        if !own {
            // An operator that changes nothing hands on what it gets.
            self.bind(value, result);
            return;
        }
        let of = &graph.node(id).name;
        let output = graph.outputs.iter().find(|(_, output)| *output == value);
        let name = output.map_or_else(|| self.free(of), |(name, _)| name.clone());
        let last = self.made.nodes.last_mut().expect("just looked at");
        last.name = fresh(&mut self.node_names, of);
        last.output.clone_from(&name);
        self.bind(value, name);
    }

    /// A tensor of the weights as operand, with its own sizes.
    ///
    /// # Errors
    /// Where it cannot be had, or is too large.
    pub fn param(&mut self, value: Value) -> Result<String, Error> {
        self.param_as(value, self.shape(value).to_vec())
    }

    /// A tensor of the weights as operand, with other sizes: `[c, 1, 1]` in place of `[c]`.
    ///
    /// # Errors
    /// See [`Builder::param`].
    pub fn param_as(&mut self, value: Value, dims: Vec<usize>) -> Result<String, Error> {
        let node = self.graph.node(value.node);
        let Op::Param(Param { shape, recipe, .. }) = &node.op else {
            unreachable!("the verifier has checked that `{}` is a parameter", node.name)
        };
        let name = match dims == shape.0 {
            true => node.name.clone(),
            false => format!("{}{dims:?}", node.name).replace(' ', ""),
        };
        if !self.tensors.insert(name.clone()) {
            return Ok(name);
        }
        self.bytes += shape.numel().unwrap_or(usize::MAX) as u64 * 4;
        if self.bytes > MOST_BYTES {
            return Err(Error::TooLarge { bytes: all_bytes(self.graph), most: MOST_BYTES });
        }
        let values = self.weights.tensor(&node.name, shape, recipe).map_err(Error::Weights)?;
        assert_eq!(Some(values.len()), shape.numel(), "`{}` has another number of elements", node.name);
        self.taken.insert(name.clone());
        self.made.initializers.push(Tensor { name: name.clone(), dims, values: Values::Floats(values) });
        Ok(name)
    }

    /// A tensor of constants, written once for each name.
    pub fn constant(&mut self, name: &str, dims: Vec<usize>, values: impl FnOnce() -> Values) -> String {
        if self.tensors.insert(name.to_owned()) {
            self.taken.insert(name.to_owned());
            self.made.initializers.push(Tensor { name: name.to_owned(), dims, values: values() });
        }
        name.to_owned()
    }

    /// A single float.
    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(&format!("const/{value:?}"), Vec::new(), || Values::Floats(vec![value]))
    }

    /// Whole numbers: sizes, borders.
    pub fn list(&mut self, values: &[i64]) -> String {
        let name = format!("const/{values:?}").replace(' ', "");
        self.constant(&name, vec![values.len()], || Values::Ints(values.to_vec()))
    }
}

/// Bytes of all tensors of a network.
pub fn all_bytes(graph: &Graph) -> u64 {
    let bytes = |id: NodeId| match &graph.node(id).op {
        Op::Param(Param { shape, .. }) => shape.numel().unwrap_or(usize::MAX) as u64,
        _ => 0,
    };
    graph.ids().map(bytes).fold(0, u64::saturating_add).saturating_mul(4)
}

/// That name, or the first of those made of it by a number that is free; it is taken then.
fn fresh(taken: &mut HashSet<String>, wanted: &str) -> String {
    let numbered = (2..).map(|number| format!("{wanted}#{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    let name = names.find(|name| !taken.contains(name)).expect("there is no end of numbers");
    taken.insert(name.clone());
    name
}
