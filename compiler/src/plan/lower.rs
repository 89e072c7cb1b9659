//! The last step of compilation: a graph in [`Stage::LaidOut`] becomes a [`Plan`].
//!
//! Most operators are one kernel. A normalisation is two (statistics, then the map itself), so is its gradient;
//! linear layers are convolutions of 1x1 images, those along channels of 1xc images; all updates with the same constants are one step.

mod norm;

use std::collections::HashMap;

use crate::ir::graph::{Graph, Node, NodeId, Stage, Value};
use crate::ir::op::{ConvAttrs, Epilogue, Op, PoolAttrs};
use crate::ir::types::{DType, Shape, TensorType};
use crate::ops;

use super::persistent::Persistent;
use super::{
    BlurGeometry, BufferId, ConvGeometry, DropGeometry, Kernel, PadGeometry, Plan, PoolGeometry, Region,
    RegionSizes, Step, liveness, order, slices, storage,
};

/// Lowers a graph.
///
/// # Panics
/// On a graph that the verifier would have refused.
pub fn lower(graph: &Graph) -> Plan {
    assert_eq!(graph.stage, Stage::LaidOut, "only graphs with layouts are lowered");
    let mut lowering = Lowering::new(graph);
    for id in order::order(graph) {
        lowering.lower_node(id);
    }
    let Lowering { mut plan, values, persistent, .. } = lowering;
    plan.steps.iter_mut().filter_map(|step| step.kernel.matrix_product()).for_each(|geometry| {
        geometry.precision = graph.precision;
    });
    persistent.add_updates(&mut plan);
    plan.outputs = graph.outputs.iter().map(|(name, value)| (name.clone(), values[value])).collect();
    slices::remove_copies(&mut plan);
    storage::choose(&mut plan);
    plan.sizes.arena = liveness::plan_arena(&mut plan);
    debug_assert_eq!(plan.check(), Vec::<String>::new());
    plan
}

struct Lowering<'g> {
    graph: &'g Graph,
    plan: Plan,
    values: HashMap<Value, BufferId>,
    persistent: Persistent,
}

impl<'g> Lowering<'g> {
    /// An empty plan with the buffers that are filled from outside.
    fn new(graph: &'g Graph) -> Self {
        let mut plan = Plan {
            name: graph.name.clone(),
            mode: graph.mode,
            batch: 0,
            sizes: RegionSizes::default(),
            buffers: Vec::new(),
            steps: Vec::new(),
            slots: Vec::new(),
            input: BufferId(u32::MAX),
            labels: None,
            outputs: Vec::new(),
        };
        let mut values = HashMap::new();
        let persistent = Persistent::place(graph, &mut plan, &mut values);
        for id in graph.ids() {
            let node = graph.node(id);
            if matches!(node.op, Op::Input { .. } | Op::Labels { .. }) {
                let buffer = plan.add_buffer(node.name.clone(), &node.types[0], Region::Arena, 0);
                values.insert(id.into(), buffer);
                match node.op {
                    Op::Input { .. } => plan.input = buffer,
                    _ => plan.labels = Some(buffer),
                }
            }
        }
        assert!(plan.input.0 != u32::MAX, "a network has an input");
        plan.batch = plan.buffer(plan.input).shape.0[0];
        Lowering { graph, plan, values, persistent }
    }

    fn ty(&self, value: Value) -> &'g TensorType {
        self.graph.value_type(value).expect("every value has a type from the stage Typed on")
    }

    fn shape(&self, value: Value) -> &'g Shape {
        &self.ty(value).shape
    }

    fn is_used(&self, value: Value) -> bool {
        !self.graph.users(value).is_empty() || self.graph.outputs.iter().any(|&(_, output)| output == value)
    }

    /// The buffer of a result: at its place among the gradients, or somewhere in the arena.
    fn define(&mut self, value: Value) -> BufferId {
        let node = self.graph.node(value.node);
        let name = match value.port {
            0 => node.name.clone(),
            port => format!("{}:{port}", node.name),
        };
        let (region, offset) = match self.persistent.gradient(value) {
            Some(offset) => (Region::Grads, offset),
            None => (Region::Arena, 0),
        };
        let buffer = self.plan.add_buffer(name, self.ty(value), region, offset);
        self.values.insert(value, buffer);
        buffer
    }

    fn push(&mut self, node: &Node, kernel: Kernel, inputs: Vec<BufferId>, outputs: Vec<BufferId>) {
        self.plan.steps.push(Step { name: node.name.clone(), kernel, inputs, outputs });
    }

    fn lower_node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let operands = self.graph.operands(id);
        match &node.op {
            Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } => {}
            // Merged: see `Persistent::add_updates`.
            Op::SgdUpdate { .. } => {}
            Op::BatchNorm { eps, momentum, epilogue } => {
                self.lower_batch_norm(id, &operands, (*eps, *momentum), *epilogue);
            }
            Op::BatchNormBackward { epilogue } => self.lower_batch_norm_backward(id, &operands, *epilogue),
            Op::GroupNorm { groups, eps, epilogue } => {
                self.lower_group_norm(id, &operands, *groups, *eps, *epilogue);
            }
            Op::GroupNormBackward { groups, epilogue } => {
                self.lower_group_norm_backward(id, &operands, *groups, *epilogue);
            }
            Op::Mul { epilogue } => self.lower_mul(id, &operands, *epilogue),
            Op::MulBackward { epilogue } => self.lower_mul_backward(id, &operands, *epilogue),
            op => {
                let kernel = self.kernel(op, id, &operands);
                let inputs = operands.iter().map(|value| self.values[value]).collect();
                let ports = match kernel {
                    Kernel::MaxPool { positions: false, .. }
                    | Kernel::GlobalMaxPool { positions: false, .. } => 1,
                    _ => node.types.len(),
                };
                let outputs =
                    (0..ports).map(|port| self.define(Value { node: id, port: port as u8 })).collect();
                self.push(node, kernel, inputs, outputs);
            }
        }
    }

    /// The kernel takes the gate behind the map, whatever their order in the graph.
    fn lower_mul(&mut self, id: NodeId, operands: &[Value], epilogue: Epilogue) {
        let mut inputs: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        let gate = ops::gate_of(self.shape(operands[0]), self.shape(operands[1]));
        if gate == Some(0) {
            inputs.swap(0, 1);
        }
        let [images, pixels, channels] = image_sizes(self.shape(id.into()));
        let kernel = Kernel::Mul { images, pixels, channels, gate: gate.is_some(), epilogue };
        let y = self.define(id.into());
        self.push(self.graph.node(id), kernel, inputs, vec![y]);
    }

    /// Likewise; the gate's gradient is then the kernel's second result.
    fn lower_mul_backward(&mut self, id: NodeId, operands: &[Value], epilogue: Epilogue) {
        let node = self.graph.node(id);
        let mut inputs: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        let mut outputs: Vec<BufferId> =
            (0..node.types.len()).map(|port| self.define(Value { node: id, port: port as u8 })).collect();
        let gate = ops::gate_of(self.shape(operands[1]), self.shape(operands[2]));
        if gate == Some(0) {
            inputs.swap(1, 2);
            outputs.swap(0, 1);
        }
        let [images, pixels, channels] = image_sizes(self.shape(operands[0]));
        let kernel = Kernel::MulBackward { images, pixels, channels, gate: gate.is_some(), epilogue };
        self.push(node, kernel, inputs, outputs);
    }

    /// The kernel of an operator that is one step.
    fn kernel(&self, op: &Op, id: NodeId, operands: &[Value]) -> Kernel {
        let operand = |index: usize| self.shape(operands[index]);
        let result = self.shape(id.into());
        match op {
            Op::Conv { attrs, bias, epilogue } => {
                let geometry = conv_geometry(operand(0), result, *attrs);
                Kernel::Conv { geometry, bias: *bias, epilogue: *epilogue }
            }
            Op::Linear { bias } => Kernel::Conv {
                geometry: linear_geometry(operand(1), self.plan.batch),
                bias: *bias,
                epilogue: Epilogue::default(),
            },
            Op::ConvBackwardData { attrs, input, residual } => {
                let geometry = conv_geometry(input, operand(0), *attrs);
                Kernel::ConvBackwardData { geometry, residual: *residual }
            }
            Op::LinearBackwardData { .. } => {
                let geometry = linear_geometry(operand(1), self.plan.batch);
                Kernel::ConvBackwardData { geometry, residual: false }
            }
            Op::ConvBackwardFilter { attrs, .. } => {
                Kernel::ConvBackwardFilter { geometry: conv_geometry(operand(0), operand(1), *attrs) }
            }
            Op::LinearBackwardFilter => {
                Kernel::ConvBackwardFilter { geometry: linear_geometry(result, self.plan.batch) }
            }
            Op::ChannelSum => {
                let (rows, channels) = matrix(operand(0));
                Kernel::ChannelSum { rows, channels }
            }
            Op::Affine { epilogue } => {
                let (rows, channels) = matrix(operand(0));
                Kernel::Affine { rows, channels, epilogue: *epilogue }
            }
            Op::Activate { act } => Kernel::Activate { len: numel(result), act: *act },
            Op::ActivateBackward { act } => Kernel::ActivateBackward { len: numel(result), act: *act },
            Op::Add { act } => Kernel::Add { len: numel(result), act: *act },
            Op::ScaleShift { scale, shift } => {
                Kernel::ScaleShift { len: numel(result), scale: *scale, shift: *shift }
            }
            Op::Drop { part, rate, stream } => {
                Kernel::Drop { geometry: drop_geometry(result), part: *part, rate: *rate, stream: *stream }
            }
            Op::MaxPool { attrs } => Kernel::MaxPool {
                geometry: pool_geometry(operand(0), result, *attrs),
                positions: self.is_used(Value { node: id, port: 1 }),
            },
            Op::AvgPool { attrs } => Kernel::AvgPool { geometry: pool_geometry(operand(0), result, *attrs) },
            Op::MaxPoolBackward { attrs, input } => {
                Kernel::MaxPoolBackward { geometry: pool_geometry(input, operand(0), *attrs) }
            }
            Op::AvgPoolBackward { attrs, input } => {
                Kernel::AvgPoolBackward { geometry: pool_geometry(input, operand(0), *attrs) }
            }
            Op::GlobalAvgPool => {
                let [images, channels, h, w] = nchw(operand(0));
                Kernel::GlobalAvgPool { images, pixels: h * w, channels }
            }
            Op::GlobalAvgPoolBackward { input } => {
                let [images, channels, h, w] = nchw(input);
                Kernel::GlobalAvgPoolBackward { images, pixels: h * w, channels }
            }
            Op::GlobalMaxPool => {
                let [images, pixels, channels] = image_sizes(operand(0));
                let positions = self.is_used(Value { node: id, port: 1 });
                Kernel::GlobalMaxPool { images, pixels, channels, positions }
            }
            Op::GlobalMaxPoolBackward { input } => {
                let [images, pixels, channels] = image_sizes(input);
                Kernel::GlobalMaxPoolBackward { images, pixels, channels }
            }
            Op::BlurPool { stride } => Kernel::BlurPool(blur_geometry(operand(0), result, *stride)),
            Op::BlurPoolBackward { stride, input } => {
                Kernel::BlurPoolBackward(blur_geometry(input, operand(0), *stride))
            }
            Op::ChannelConv => Kernel::Conv {
                geometry: channel_geometry(operand(0), operand(1)),
                bias: false,
                epilogue: Epilogue::default(),
            },
            Op::ChannelConvBackwardData => Kernel::ConvBackwardData {
                geometry: channel_geometry(operand(0), operand(1)),
                residual: false,
            },
            Op::ChannelConvBackwardFilter { .. } => {
                Kernel::ConvBackwardFilter { geometry: channel_geometry(operand(0), result) }
            }
            Op::Concat { .. } => Kernel::Concat {
                rows: matrix(result).0,
                channels: (0..operands.len()).map(|i| matrix(operand(i)).1).collect(),
            },
            Op::ChannelSlice { start, channels: taken } => {
                let (rows, channels) = matrix(operand(0));
                Kernel::ChannelSlice { rows, channels, start: *start, taken: *taken }
            }
            Op::PadShortcut { stride, .. } => Kernel::PadShortcut(pad_geometry(operand(0), result, *stride)),
            Op::PadShortcutBackward { stride, input } => {
                Kernel::PadShortcutBackward(pad_geometry(input, operand(0), *stride))
            }
            Op::Softmax => {
                let (rows, classes) = matrix(operand(0));
                Kernel::Softmax { rows, classes }
            }
            Op::CrossEntropy { smoothing } => {
                let (rows, classes) = matrix(operand(0));
                Kernel::CrossEntropy { rows, classes, smoothing: *smoothing }
            }
            Op::CrossEntropyBackward { smoothing } => {
                let (rows, classes) = matrix(operand(0));
                Kernel::CrossEntropyBackward { rows, classes, smoothing: *smoothing }
            }
            Op::Input { .. }
            | Op::Labels { .. }
            | Op::Param { .. }
            | Op::SgdUpdate { .. }
            | Op::BatchNorm { .. }
            | Op::BatchNormBackward { .. }
            | Op::GroupNorm { .. }
            | Op::GroupNormBackward { .. }
            | Op::Mul { .. }
            | Op::MulBackward { .. }
            | Op::Shortcut { .. } => unreachable!("{} is not one step", self.graph.node(id).name),
        }
    }
}

fn nchw(shape: &Shape) -> [usize; 4] {
    shape.nchw().expect("a feature map has four dimensions")
}

fn numel(shape: &Shape) -> usize {
    shape.numel().expect("the verifier bounds sizes")
}

/// `(rows, channels)` of a feature map `[n, c, h, w]` or of a matrix `[n, c]`.
fn matrix(shape: &Shape) -> (usize, usize) {
    let channels = shape.0[1];
    (numel(shape) / channels.max(1), channels)
}

/// `[images, pixels, channels]` of a feature map `[n, c, h, w]` or of a matrix `[n, c]`.
fn image_sizes(shape: &Shape) -> [usize; 3] {
    let (rows, channels) = matrix(shape);
    [shape.0[0], rows / shape.0[0], channels]
}

fn conv_geometry(input: &Shape, output: &Shape, attrs: ConvAttrs) -> ConvGeometry {
    let ([n, cin, h, w], [_, cout, oh, ow]) = (nchw(input), nchw(output));
    ConvGeometry { n, h, w, cin, cout, out: [oh, ow], attrs, precision: DType::F32 }
}

/// A linear layer with `weight [out, in]` as a convolution: in `[in][out]` the weight is that of a single tap.
fn linear_geometry(weight: &Shape, batch: usize) -> ConvGeometry {
    let (cout, cin) = (weight.0[0], weight.0[1]);
    let attrs = ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    ConvGeometry { n: batch, h: 1, w: 1, cin, cout, out: [1, 1], attrs, precision: DType::F32 }
}

fn pool_geometry(input: &Shape, output: &Shape, attrs: PoolAttrs) -> PoolGeometry {
    let ([n, c, h, w], [_, _, oh, ow]) = (nchw(input), nchw(output));
    PoolGeometry { n, h, w, c, out: [oh, ow], attrs }
}

/// A convolution along the channels of `[n, c, 1, 1]` as one over the columns of `[n, 1, 1, c]`: both lie in memory alike.
fn channel_geometry(x: &Shape, weight: &Shape) -> ConvGeometry {
    let ([n, c, _, _], kernel) = (nchw(x), weight.0[2]);
    let (kernel, padding) = ([1, kernel], [0, kernel / 2]);
    let attrs = ConvAttrs { kernel, stride: [1, 1], padding, dilation: [1, 1], groups: 1 };
    ConvGeometry { n, h: 1, w: c, cin: 1, cout: 1, out: [1, c], attrs, precision: DType::F32 }
}

fn blur_geometry(input: &Shape, output: &Shape, stride: [usize; 2]) -> BlurGeometry {
    let ([n, c, h, w], [_, _, oh, ow]) = (nchw(input), nchw(output));
    BlurGeometry { n, h, w, c, stride, out: [oh, ow] }
}

fn drop_geometry(shape: &Shape) -> DropGeometry {
    let (_, c) = matrix(shape);
    let [h, w] = shape.nchw().map_or([1; 2], |[_, _, h, w]| [h, w]);
    DropGeometry { n: shape.0[0], h, w, c }
}

fn pad_geometry(input: &Shape, output: &Shape, stride: [usize; 2]) -> PadGeometry {
    let ([n, cin, h, w], [_, cout, oh, ow]) = (nchw(input), nchw(output));
    PadGeometry { n, h, w, cin, cout, before: (cout - cin) / 2, stride, out: [oh, ow] }
}
