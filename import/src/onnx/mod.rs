//! ONNX models.

mod folded;
mod layers;
mod model;
mod wire;

use std::collections::HashMap;

use crate::fault::{Fault, Place, Result};
use crate::flat::{Flat, Id};
use model::{Input, Model, Node, Tensor};

/// What a name of the graph stands for.
#[derive(Debug, Clone)]
enum Value<'b> {
    /// A map, and zeros around it that no layer has taken in yet.
    Map { id: Id, border: usize },
    /// A map of which some rows, or some columns, are still to be skipped: one of two slices.
    Skipping { id: Id, stride: [usize; 2] },
    /// A constant.
    Constant(Tensor<'b>),
    /// Computed from constants and shapes by the graph itself.
    Computed,
    /// Probabilities: what follows the logits.
    Softmax,
}

/// The network as far as it is read.
struct Front<'b> {
    flat: Flat,
    values: HashMap<&'b str, Value<'b>>,
}

/// Reads a model.
pub(crate) fn read(bytes: &[u8], input: Option<[usize; 3]>) -> Result<Flat> {
    let model = model::model(bytes)
        .map_err(|why| Fault::file(format!("this is no ONNX model that can be read: {why}")))?;
    let (name, sizes) = image(&model, input)?;
    let mut front = Front { flat: Flat::new(sizes, &Place::Node(name.to_owned()))?, values: HashMap::new() };
    for tensor in &model.tensors {
        front.values.insert(tensor.name, Value::Constant(tensor.clone()));
    }
    front.values.insert(name, Value::Map { id: 0, border: 0 });
    let result = result(&model)?;
    let wanted = needed(&model, result);
    let mut last = 0;
    for (node, _) in model.nodes.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
        if let Some(id) = front.node(node)? {
            last = id;
        }
    }
    let end = match front.values.get(result) {
        Some(Value::Map { id, border: 0 }) => *id,
        Some(Value::Softmax) => last,
        _ => return Err(Fault::file(format!("the output `{result}` is no result of the network"))),
    };
    front.flat.finish(end)
}

/// The graph's one output.
fn result<'b>(model: &Model<'b>) -> Result<&'b str> {
    match model.outputs.as_slice() {
        [output] => Ok(output.name),
        [] => Err(Fault::file("the graph has no output")),
        many => {
            let names: Vec<&str> = many.iter().map(|output| output.name).collect();
            Err(Fault::file(format!("the graph has {} outputs: {}", many.len(), names.join(", ")))
                .help("only networks with one result, the logits, can be imported"))
        }
    }
}

/// Name and sizes of the graph's one input.
fn image<'b>(model: &Model<'b>, given: Option<[usize; 3]>) -> Result<(&'b str, [usize; 3])> {
    let constant = |input: &&Input<'_>| !model.tensors.iter().any(|tensor| tensor.name == input.name);
    let inputs: Vec<&Input<'b>> = model.inputs.iter().filter(constant).collect();
    let [input] = inputs[..] else {
        return Err(Fault::file(format!(
            "the graph has {} inputs; a network has one, the image",
            inputs.len()
        )));
    };
    if let Some(sizes) = given {
        return Ok((input.name, sizes));
    }
    let sizes = match input.sizes.as_deref() {
        Some([_, c, h, w]) => [*c, *h, *w].map(|size| size.and_then(|size| usize::try_from(size).ok())),
        _ => [None; 3],
    };
    let [Some(c), Some(h), Some(w)] = sizes else {
        let place = Place::Node(input.name.to_owned());
        return Err(Fault::new(&place, "the input does not say channels, height and width of an image")
            .help("say them with `--input C,H,W`"));
    };
    Ok((input.name, [c, h, w]))
}

/// Which nodes the result depends on.
fn needed(model: &Model<'_>, result: &str) -> Vec<bool> {
    let mut names = std::collections::HashSet::from([result]);
    let mut wanted = vec![false; model.nodes.len()];
    for (index, node) in model.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|output| names.contains(output)) {
            wanted[index] = true;
            names.extend(&node.inputs);
        }
    }
    wanted
}

/// Where a node is: its name; operator and first result where it has none.
fn place(node: &Node<'_>) -> Place {
    let result = node.outputs.first().copied().unwrap_or_default();
    Place::Node(if node.name.is_empty() {
        format!("{} -> {result}", node.operator)
    } else {
        node.name.to_owned()
    })
}
