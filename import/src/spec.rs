//! The whole way from a file to a spec.

use std::collections::HashMap;

use resnetc_compiler::ir::graph::{Graph, Mode};
use resnetc_compiler::report::{Network, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, load};

use crate::fault::{Fault, Result};
use crate::flat::Flat;
use crate::yaml::{self, Figures};
use crate::{caffe, darknet, onnx, recover, verify};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An ONNX model; weights are in it.
    Onnx,
    /// Darknet's `.cfg`; weights are in a file of their own.
    Darknet,
    /// Caffe's `.prototxt`, as networks are deployed; without weights.
    Caffe,
}

impl Format {
    /// By the end of a file's name.
    pub fn of(name: &str) -> Option<Format> {
        let (_, end) = name.rsplit_once('.')?;
        match end.to_ascii_lowercase().as_str() {
            "onnx" => Some(Format::Onnx),
            "cfg" => Some(Format::Darknet),
            "prototxt" => Some(Format::Caffe),
            _ => None,
        }
    }
}

/// What the file does not say.
#[derive(Debug, Clone, Default)]
pub struct Options<'o> {
    /// The spec's name.
    pub name: &'o str,
    /// What the spec's first line calls the file.
    pub origin: &'o str,
    /// Channels, height and width of an image, where the file leaves them open.
    pub input: Option<[usize; 3]>,
    /// Content of a file of weights beside the network.
    pub weights: Option<&'o [u8]>,
}

/// A tensor by its name in checkpoints of the spec's network.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// `stage1.unit0.conv1.weight`
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

/// A network as a spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The spec's text.
    pub spec: String,
    /// Trained parameters.
    pub params: u64,
    /// Stages, and units in all of them.
    pub stages: usize,
    /// Units in all stages.
    pub units: usize,
    /// The weights, where they came along; all or none.
    pub tensors: Vec<Tensor>,
}

/// Imports a network.
///
/// # Errors
/// What cannot be read or said, with its place: the line of a text, the node of an ONNX graph. A spec that would not be the same
/// network, layer by layer, is an error too.
pub fn import(format: Format, bytes: &[u8], options: &Options<'_>) -> Result<Imported> {
    let text = || std::str::from_utf8(bytes).map_err(|_| Fault::file("the file is no text in UTF-8"));
    let flat = match format {
        Format::Darknet => darknet::read(text()?, options.input, options.weights)?,
        _ if options.weights.is_some() => {
            return Err(Fault::file("only Darknet's networks have weights in a file beside them"));
        }
        Format::Onnx => onnx::read(bytes, options.input)?,
        Format::Caffe => caffe::read(text()?, options.input)?,
    };
    let network = recover::recover(&flat)?;
    let name = legal(options.name);
    let text = |figures| yaml::write(&name, options.origin, &network, figures);
    let Network { graph, summary, .. } = compiled(&text(None))?;
    let names = verify::verify(&flat, &graph)?;
    let tensors = tensors(flat, &graph, names)?;
    Ok(Imported {
        spec: text(Some(Figures { params: summary.params, macs: summary.macs })),
        params: summary.params,
        stages: network.stages.len(),
        units: network.stages.iter().flatten().map(|group| group.filters.len()).sum(),
        tensors,
    })
}

/// A name as specs allow it.
fn legal(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let name: String = name.chars().take(64).map(legal).collect();
    if name.is_empty() { "imported".to_owned() } else { name }
}

/// The network that a spec is.
fn compiled(text: &str) -> Result<Network> {
    let mut sources = SourceMap::default();
    let read = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_owned()));
    let limits = Limits::default();
    let request = Request { name: "imported.yaml", text, overrides: &[], read: &read, limits };
    let network = load(&request, &mut sources)
        .and_then(|spec| resnetc_compiler::expand(&spec, &Target::new(Mode::Infer, 1)));
    network.map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        Fault::file(format!("the spec that was recovered does not compile: {}", faults.join("; ")))
            .help(format!("nothing was written; this is what it was:\n{text}"))
    })
}

/// The weights by the compiled names; none where the file has none.
fn tensors(flat: Flat, graph: &Graph, names: verify::Names) -> Result<Vec<Tensor>> {
    let nodes = graph.ids().map(|id| graph.node(id));
    let shapes: HashMap<&str, &[usize]> =
        nodes.filter_map(|node| Some((node.name.as_str(), node.types.first()?.shape.0.as_slice()))).collect();
    let mut tensors = Vec::new();
    for (node, names) in flat.nodes.into_iter().zip(names) {
        for (name, data) in names.into_iter().zip(node.tensors) {
            let shape = shapes.get(name.as_str()).map_or(Vec::new(), |shape| shape.to_vec());
            if shape.iter().product::<usize>() != data.len() {
                let message = format!("{} numbers for the tensor `{name}` of {shape:?}", data.len());
                return Err(Fault::new(&node.place, message));
            }
            tensors.push(Tensor { name, shape, data });
        }
    }
    Ok(tensors)
}
