//! `resnetc-onnx`: a network for inference as an ONNX model.
//!
//! What is written is the compiler's graph in operators that every framework has
//! ([`portable`](resnetc_compiler::portable)), before anything is fused or laid out. The crate reads and writes no file, and needs
//! nothing of ONNX: the model's bytes are written here.

#![forbid(unsafe_code)]

mod activation;
mod builder;
mod error;
mod layers;
mod operator;
pub mod proto;
pub mod version;
mod wire;

use resnetc_compiler::ir::graph::{Graph, Value};
use resnetc_compiler::ir::op::Op;

pub use builder::Weights;
pub use error::Error;
pub use proto::Model;

use builder::{Builder, MOST_BYTES, all_bytes};
use proto::{Dim, Port};

/// Name of the batch where its size is free.
const BATCH: &str = "batch";

/// How a model is written, and what is said in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The set of operators, see [`version`].
    pub opset: i64,
    /// Whether any number of images can be run; else as many as the graph has.
    pub dynamic_batch: bool,
    /// For people.
    pub doc: String,
    /// Facts by their names.
    pub metadata: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        let opset = version::DEFAULT;
        Options { opset, dynamic_batch: false, doc: String::new(), metadata: Vec::new() }
    }
}

/// Writes a network, which has types; `weights` has the values of its persistent tensors.
///
/// # Errors
/// Where there is no such set of operators, the graph is one of training, weights cannot be had, or are too many for a file.
pub fn export(graph: &Graph, weights: &dyn Weights, options: &Options) -> Result<Model, Error> {
    let asked = options.opset;
    let ir_version = version::ir_version(asked).ok_or(Error::Opset { asked })?;
    let bytes = all_bytes(graph);
    if bytes > MOST_BYTES {
        return Err(Error::TooLarge { bytes, most: MOST_BYTES });
    }
    let mut builder = Builder::new(graph, weights, asked);
    for id in graph.ids().filter(|&id| matches!(graph.node(id).op, Op::Input(_))) {
        let name = builder.free(&graph.node(id).name);
        let port = port(&builder, id.into(), name.clone(), options);
        builder.made().inputs.push(port);
        builder.bind(id, name);
    }
    for id in graph.ids() {
        operator::write(&mut builder, id)?;
    }
    outputs(&mut builder, options);
    Ok(Model {
        ir_version,
        opset: asked,
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc: options.doc.clone(),
        metadata: options.metadata.clone(),
        graph: builder.finish(),
    })
}

/// Writes the network's results, in their order.
fn outputs(builder: &mut Builder<'_>, options: &Options) {
    for (name, value) in &builder.graph.outputs {
        let found = builder.name(*value);
        if found != *name {
            // A second name of a value, or one that no operator made.
            builder.emit(value.node, "Identity", vec![found], Vec::new());
            let last = builder.made().nodes.last_mut().expect("just added");
            last.output.clone_from(name);
        }
        let port = port(builder, *value, name.clone(), options);
        builder.made().outputs.push(port);
    }
}

/// A value as input or output of the model.
fn port(builder: &Builder<'_>, value: Value, name: String, options: &Options) -> Port {
    let mut dims: Vec<Dim> = builder.shape(value).iter().map(|&size| Dim::Size(size)).collect();
    if let (true, Some(batch)) = (options.dynamic_batch, dims.first_mut()) {
        *batch = Dim::Name(BATCH);
    }
    Port { name, dims }
}
