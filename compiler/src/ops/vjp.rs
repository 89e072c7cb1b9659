//! Gradients: one rule per operator, each beside its operator with the formula first. This file dispatches.

use super::{
    activation, blur, channel_conv, concat, conv, elementwise, linear, loss, norm, pool, random, shortcut,
};
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::patch::Patch;
use crate::ir::types::Shape;
use crate::source::Span;

/// Why an operator has no gradient: a sentence.
pub type VjpError = String;

/// Gradients of a node's operands, in their order; `None` where none is wanted.
pub type Gradients = Result<Vec<Option<Value>>, VjpError>;

/// One node to be differentiated (a vector-Jacobian product: `dy` times the Jacobian).
pub struct Vjp<'a> {
    graph: &'a Graph,
    patch: &'a mut Patch,
    node: NodeId,
    /// The node's operands.
    pub(super) operands: Vec<Value>,
    /// Gradient of the loss by the node's first result; `None` for the loss itself, where it is 1.
    dy: Option<Value>,
    /// Name of each operand's gradient; `None` where none is wanted.
    names: Vec<Option<String>>,
}

impl<'a> Vjp<'a> {
    /// See the fields; gradient nodes go into the patch and inherit the node's span.
    pub fn new(
        graph: &'a Graph,
        patch: &'a mut Patch,
        node: NodeId,
        dy: Option<Value>,
        names: Vec<Option<String>>,
    ) -> Self {
        Vjp { operands: graph.operands(node), graph, patch, node, dy, names }
    }

    /// Whether an operand's gradient is wanted.
    pub(super) fn wants(&self, operand: usize) -> bool {
        self.names[operand].is_some()
    }

    /// Gradient of the first result.
    pub(super) fn dy(&self) -> Result<Value, VjpError> {
        self.dy.ok_or_else(|| "a loss has to be a `cross_entropy`".to_owned())
    }

    /// Whether this node is the loss.
    pub(super) fn is_loss(&self) -> bool {
        self.dy.is_none()
    }

    /// One of the node's own results.
    pub(super) fn result(&self, port: u8) -> Value {
        Value { node: self.node, port }
    }

    /// Shape of an operand.
    pub(super) fn shape(&self, operand: usize) -> Shape {
        let ty =
            self.graph.value_type(self.operands[operand]).expect("types are inferred before differentiation");
        ty.shape.clone()
    }

    /// Adds a gradient node under the name of the first of `operands` whose gradient is wanted.
    pub(super) fn emit(&mut self, operands: &[usize], op: Op, inputs: &[Value]) -> Value {
        let name =
            operands.iter().find_map(|&i| self.names[i].clone()).expect("asked only where one is wanted");
        let span: Span = self.graph.node(self.node).span;
        self.patch.add(name, op, span, inputs).into()
    }

    /// [`Vjp::emit`] where that operand's gradient is wanted.
    pub(super) fn emit_if_wanted(
        &mut self,
        operand: usize,
        op: impl FnOnce() -> Op,
        inputs: &[Value],
    ) -> Option<Value> {
        self.wants(operand).then(|| self.emit(&[operand], op(), inputs))
    }
}

/// Adds the nodes that compute a node's gradients.
pub fn vjp(mut v: Vjp<'_>) -> Gradients {
    let op = v.graph.node(v.node).op.clone();
    match &op {
        Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } => Ok(Vec::new()),
        Op::Conv { attrs, bias, epilogue } => conv::vjp(&mut v, attrs, *bias, epilogue),
        Op::BatchNorm { epilogue, .. } => norm::vjp(&mut v, epilogue),
        Op::GroupNorm { groups, epilogue, .. } => norm::vjp_group(&mut v, *groups, epilogue),
        Op::Activate { act } => activation::vjp(&mut v, *act),
        Op::Add { act } => elementwise::vjp_add(&mut v, *act),
        Op::Mul { epilogue } => elementwise::vjp_mul(&mut v, epilogue),
        Op::ScaleShift { scale, .. } => elementwise::vjp_scale_shift(&mut v, *scale),
        Op::Drop { part, rate, stream } => random::vjp(&mut v, *part, *rate, *stream),
        Op::MaxPool { attrs } => pool::vjp_max(&mut v, attrs),
        Op::AvgPool { attrs } => pool::vjp_avg(&mut v, attrs),
        Op::GlobalAvgPool => pool::vjp_global(&mut v),
        Op::GlobalMaxPool => pool::vjp_global_max(&mut v),
        Op::BlurPool { stride } => blur::vjp(&mut v, *stride),
        Op::ChannelConv => channel_conv::vjp(&mut v),
        Op::Concat { .. } => concat::vjp(&mut v),
        Op::Linear { bias } => linear::vjp(&mut v, *bias),
        Op::PadShortcut { stride, .. } => shortcut::vjp_pad(&mut v, *stride),
        Op::CrossEntropy { smoothing } => loss::vjp(&mut v, *smoothing),
        Op::Softmax => Err("`softmax` has no gradient of its own: the loss takes logits".to_owned()),
        Op::Affine { .. } => Err("`affine` exists in inference only".to_owned()),
        Op::Shortcut { .. } => Err("a shortcut has to be expanded before it is differentiated".to_owned()),
        Op::ConvBackwardData { .. }
        | Op::ConvBackwardFilter { .. }
        | Op::ChannelSum
        | Op::BatchNormBackward { .. }
        | Op::GroupNormBackward { .. }
        | Op::ActivateBackward { .. }
        | Op::MulBackward { .. }
        | Op::MaxPoolBackward { .. }
        | Op::AvgPoolBackward { .. }
        | Op::GlobalAvgPoolBackward { .. }
        | Op::GlobalMaxPoolBackward { .. }
        | Op::BlurPoolBackward { .. }
        | Op::ChannelConvBackwardData
        | Op::ChannelConvBackwardFilter { .. }
        | Op::ChannelSlice { .. }
        | Op::LinearBackwardData { .. }
        | Op::LinearBackwardFilter
        | Op::PadShortcutBackward { .. }
        | Op::CrossEntropyBackward { .. }
        | Op::SgdUpdate { .. } => Err("gradients of gradients are not computed".to_owned()),
    }
}
