//! A network as other programs write it: layers after one another, each with its place in the file. What its front end leaves out
//! does not change results: dropout in inference, the flattening of one pixel, a softmax behind the logits.

use std::collections::HashMap;

use resnetc_compiler::ir::attrs::PoolAttrs;

use crate::fault::{Fault, Place, Result};
pub(crate) use crate::op::Op;
use crate::shapes;

/// Index of a node.
pub(crate) type Id = usize;

/// Most nodes of a network: what specs may have.
const MOST_NODES: usize = 24_000;

/// A node of the network.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it does.
    pub(crate) op: Op,
    /// Its operands.
    pub(crate) inputs: Vec<Id>,
    /// Where it stands in the file.
    pub(crate) place: Place,
    /// Its result for one image: channels, height, width.
    pub(crate) shape: [usize; 3],
    /// Its tensors, row-major; empty where no weights came along.
    pub(crate) tensors: Vec<Vec<f32>>,
}

/// A network: its nodes in an order of execution. The first is the image, the last the result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flat {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
}

impl Flat {
    /// A network of nothing but its image.
    pub(crate) fn new(input: [usize; 3], place: &Place) -> Result<Self> {
        if input.iter().any(|&size| size == 0 || size > 16_384) {
            let [c, h, w] = input;
            return Err(Fault::new(place, format!("an image of {c} x {h} x {w}: sizes go from 1 to 16384")));
        }
        let node = Node {
            op: Op::Input,
            inputs: Vec::new(),
            place: place.clone(),
            shape: input,
            tensors: Vec::new(),
        };
        Ok(Flat { nodes: vec![node] })
    }

    /// Adds a node, whose shape follows from its operands'.
    pub(crate) fn push(&mut self, op: Op, inputs: Vec<Id>, place: &Place) -> Result<Id> {
        self.push_with(op, inputs, place, Vec::new())
    }

    /// Adds a node with its tensors.
    pub(crate) fn push_with(
        &mut self,
        op: Op,
        inputs: Vec<Id>,
        place: &Place,
        tensors: Vec<Vec<f32>>,
    ) -> Result<Id> {
        if self.nodes.len() >= MOST_NODES {
            return Err(Fault::new(place, format!("the network has more than {MOST_NODES} layers")));
        }
        let maps: Vec<[usize; 3]> = inputs.iter().map(|&id| self.nodes[id].shape).collect();
        let op = plain(op, &maps);
        let shape = shapes::infer(&op, &maps).map_err(|message| Fault::new(place, message))?;
        self.nodes.push(Node { op, inputs, place: place.clone(), shape, tensors });
        Ok(self.nodes.len() - 1)
    }

    /// Only what the result depends on, in the same order.
    pub(crate) fn finish(mut self, result: Id) -> Result<Self> {
        self.nodes.truncate(result + 1);
        self.nest();
        let mut wanted = vec![false; self.nodes.len()];
        wanted[result] = true;
        for id in (0..=result).rev().filter(|&id| id != 0) {
            if wanted[id] {
                self.nodes[id].inputs.iter().for_each(|&input| wanted[input] = true);
            }
        }
        if !wanted[0] {
            return Err(Fault::file("the result does not depend on the image"));
        }
        let mut index = vec![0; self.nodes.len()];
        let mut nodes = Vec::new();
        for (id, mut node) in self.nodes.into_iter().enumerate().filter(|&(id, _)| wanted[id]) {
            index[id] = nodes.len();
            node.inputs.iter_mut().for_each(|input| *input = index[*input]);
            nodes.push(node);
        }
        Ok(Flat { nodes })
    }

    /// Maps after one another, of which all but the last are after one another elsewhere: those and the last.
    fn nest(&mut self) {
        let mut known: HashMap<Vec<Id>, Id> = HashMap::new();
        for id in 0..self.nodes.len() {
            let node = &mut self.nodes[id];
            if node.op != Op::Concat {
                continue;
            }
            let all = node.inputs.clone();
            if let Some((&last, before)) = all.split_last()
                && let Some(&earlier) = known.get(before)
            {
                node.inputs = vec![earlier, last];
            }
            known.entry(all).or_insert(id);
        }
    }

    /// The last node: the logits.
    pub(crate) fn result(&self) -> Id {
        self.nodes.len() - 1
    }

    /// How many operands each node's result is.
    pub(crate) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| uses[input] += 1);
        uses
    }
}

/// Every `stride`-th pixel.
pub(crate) fn skip(stride: [usize; 2]) -> Op {
    let (kernel, padding) = ([1, 1], [0, 0]);
    Op::MaxPool(PoolAttrs { kernel, stride, padding, ceil: false, count_padding: true })
}

/// A window of one pixel has neither mean nor border.
pub(crate) fn without_window(op: Op) -> Op {
    match op {
        Op::AvgPool(attrs) | Op::MaxPool(attrs) if attrs.kernel == [1, 1] && attrs.padding == [0, 0] => {
            skip(attrs.stride)
        }
        op => op,
    }
}

/// One of several ways to write the same: a mean over windows as large as the image is a mean over the image.
fn plain(op: Op, maps: &[[usize; 3]]) -> Op {
    let Some(&[_, h, w]) = maps.first() else { return op };
    let whole = |attrs: &PoolAttrs| attrs.kernel == [h, w] && attrs.padding == [0, 0];
    match op {
        Op::AvgPool(attrs) if whole(&attrs) => Op::GlobalAvgPool,
        Op::MaxPool(attrs) if whole(&attrs) => Op::GlobalMaxPool,
        op => without_window(op),
    }
}
