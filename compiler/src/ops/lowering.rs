//! What an operator is lowered with: the buffers and types of its operands and results, and the plan that takes its steps.

use std::collections::HashMap;

use crate::ir::attrs::{ConvAttrs, PoolAttrs};
use crate::ir::graph::{Graph, Node, NodeId, Value};
use crate::ir::types::{DType, Shape, TensorType};
use crate::plan::{
    BlurGeometry, BufferId, ConvGeometry, DropGeometry, GroupGeometry, Kernel, PadGeometry, Plan,
    PoolGeometry, Region, Step,
};

/// One node to be lowered.
pub struct Lowering<'a> {
    /// The graph, in the stage `LaidOut`.
    pub graph: &'a Graph,
    /// Takes buffers and steps.
    pub plan: &'a mut Plan,
    /// Buffers of the values that are there.
    pub values: &'a mut HashMap<Value, BufferId>,
    /// Where the gradients of parameters lie in [`Region::Grads`].
    pub gradients: &'a HashMap<Value, usize>,
    /// The factor of the loss, in memory.
    pub loss_scale: Option<BufferId>,
    /// The node.
    pub node: NodeId,
    /// Its operands.
    pub inputs: Vec<Value>,
}

impl<'a> Lowering<'a> {
    fn this(&self) -> &'a Node {
        self.graph.node(self.node)
    }

    fn ty(&self, value: Value) -> &'a TensorType {
        self.graph.value_type(value).expect("every value has a type from the stage Typed on")
    }

    /// Images of the batch.
    pub(super) fn batch(&self) -> usize {
        self.plan.batch
    }

    /// Shape of an operand.
    pub(super) fn shape(&self, operand: usize) -> &'a Shape {
        &self.ty(self.inputs[operand]).shape
    }

    /// Shape of the first result.
    pub(super) fn result(&self) -> &'a Shape {
        &self.ty(self.node.into()).shape
    }

    /// What factors of convolutions and linear layers are rounded to.
    pub(super) fn precision(&self) -> DType {
        self.graph.precision
    }

    /// Whether batch normalisations take their statistics from the images of all ranks.
    pub(super) fn sync_bn(&self) -> bool {
        self.graph.ranks.is_some_and(|ranks| ranks.sync_bn)
    }

    /// Number of results.
    pub(super) fn results(&self) -> u8 {
        self.this().types.len() as u8
    }

    /// Buffers of all operands.
    pub(super) fn operands(&self) -> Vec<BufferId> {
        self.inputs.iter().map(|value| self.values[value]).collect()
    }

    /// Whether anyone reads a result.
    pub(super) fn is_used(&self, port: u8) -> bool {
        let value = Value { node: self.node, port };
        !self.graph.users(value).is_empty() || self.graph.is_output(value)
    }

    /// The buffer of a result: at its place among the gradients, or somewhere in the arena.
    pub(super) fn define(&mut self, port: u8) -> BufferId {
        let value = Value { node: self.node, port };
        let (region, offset) = match self.gradients.get(&value) {
            Some(&offset) => (Region::Grads, offset),
            None => (Region::Arena, 0),
        };
        let buffer = self.plan.add_buffer(self.graph.value_name(value), self.ty(value), region, offset);
        self.values.insert(value, buffer);
        buffer
    }

    /// A buffer between the steps of the node, `<node>:<part>`, of the type of an operand.
    pub(super) fn scratch(&mut self, part: &str, like: usize) -> BufferId {
        let ty = self.ty(self.inputs[like]);
        self.plan.add_buffer(format!("{}:{part}", self.this().name), ty, Region::Arena, 0)
    }

    /// Adds a step.
    pub(super) fn push(&mut self, kernel: impl Into<Kernel>, inputs: Vec<BufferId>, outputs: Vec<BufferId>) {
        self.plan.steps.push(Step { name: self.this().name.clone(), kernel: kernel.into(), inputs, outputs });
    }

    /// Adds the only step of a node: it reads the operands and writes all results.
    pub(super) fn step(&mut self, kernel: impl Into<Kernel>) {
        let inputs = self.operands();
        let outputs = (0..self.results()).map(|port| self.define(port)).collect();
        self.push(kernel, inputs, outputs);
    }
}

/// `[n, c, h, w]` of a feature map.
pub(super) fn nchw(shape: &Shape) -> [usize; 4] {
    shape.nchw().expect("a feature map has four dimensions")
}

/// Elements.
pub(super) fn count(shape: &Shape) -> usize {
    shape.numel().expect("the verifier bounds sizes")
}

/// `(rows, channels)` of a feature map `[n, c, h, w]` or of a matrix `[n, c]`.
pub(super) fn matrix(shape: &Shape) -> (usize, usize) {
    let channels = shape.0[1];
    (count(shape) / channels.max(1), channels)
}

/// `[images, pixels, channels]` of a feature map `[n, c, h, w]` or of a matrix `[n, c]`.
pub(super) fn image_sizes(shape: &Shape) -> [usize; 3] {
    let (rows, channels) = matrix(shape);
    [shape.0[0], rows / shape.0[0], channels]
}

pub(super) fn conv_geometry(
    input: &Shape,
    output: &Shape,
    attrs: ConvAttrs,
    precision: DType,
) -> ConvGeometry {
    let ([n, cin, h, w], [_, cout, oh, ow]) = (nchw(input), nchw(output));
    ConvGeometry { n, h, w, cin, cout, out: [oh, ow], attrs, precision: rounded(precision, cin, cout) }
}

/// With one channel on both sides there is no product of matrices to speed up.
fn rounded(precision: DType, cin: usize, cout: usize) -> DType {
    if cin > 1 || cout > 1 { precision } else { DType::F32 }
}

/// A linear layer with `weight [out, in]` as a convolution: in `[in][out]` the weight is that of a single tap.
pub(super) fn linear_geometry(weight: &Shape, batch: usize, precision: DType) -> ConvGeometry {
    let (cout, cin) = (weight.0[0], weight.0[1]);
    let attrs = ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let precision = rounded(precision, cin, cout);
    ConvGeometry { n: batch, h: 1, w: 1, cin, cout, out: [1, 1], attrs, precision }
}

/// A convolution along the channels of `[n, c, 1, 1]` as one over the columns of `[n, 1, 1, c]`: both lie in memory alike.
/// It is of a few numbers an image, and stays `f32`.
pub(super) fn channel_geometry(x: &Shape, weight: &Shape) -> ConvGeometry {
    let ([n, c, _, _], kernel) = (nchw(x), weight.0[2]);
    let (kernel, padding) = ([1, kernel], [0, kernel / 2]);
    let attrs = ConvAttrs { kernel, stride: [1, 1], padding, dilation: [1, 1], groups: 1 };
    ConvGeometry { n, h: 1, w: c, cin: 1, cout: 1, out: [1, c], attrs, precision: DType::F32 }
}

pub(super) fn pool_geometry(input: &Shape, output: &Shape, attrs: PoolAttrs) -> PoolGeometry {
    let ([n, c, h, w], [_, _, oh, ow]) = (nchw(input), nchw(output));
    PoolGeometry { n, h, w, c, out: [oh, ow], attrs }
}

pub(super) fn blur_geometry(input: &Shape, output: &Shape, stride: [usize; 2]) -> BlurGeometry {
    let ([n, c, h, w], [_, _, oh, ow]) = (nchw(input), nchw(output));
    BlurGeometry { n, h, w, c, stride, out: [oh, ow] }
}

pub(super) fn group_geometry(shape: &Shape, groups: usize) -> GroupGeometry {
    let [images, pixels, channels] = image_sizes(shape);
    GroupGeometry { images, pixels, channels, groups }
}

pub(super) fn drop_geometry(shape: &Shape) -> DropGeometry {
    let (_, c) = matrix(shape);
    let [h, w] = shape.nchw().map_or([1; 2], |[_, _, h, w]| [h, w]);
    DropGeometry { n: shape.0[0], h, w, c }
}

pub(super) fn pad_geometry(input: &Shape, output: &Shape, stride: [usize; 2]) -> PadGeometry {
    let ([n, cin, h, w], [_, cout, oh, ow]) = (nchw(input), nchw(output));
    PadGeometry { n, h, w, cin, cout, before: (cout - cin) / 2, stride, out: [oh, ow] }
}
