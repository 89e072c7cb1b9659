//! What an operator's gradient rule works with: the node, the gradient of its result, and the patch that takes the new nodes.

use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::Op;
use crate::ir::origin::Origin;
use crate::ir::patch::Patch;
use crate::ir::types::Shape;

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
    /// Name and origin of each operand's gradient; `None` where none is wanted.
    wanted: Vec<Option<(String, Origin)>>,
}

impl<'a> Vjp<'a> {
    /// See the fields; gradient nodes go into the patch and inherit the node's span.
    pub fn new(
        graph: &'a Graph,
        patch: &'a mut Patch,
        node: NodeId,
        dy: Option<Value>,
        wanted: Vec<Option<(String, Origin)>>,
    ) -> Self {
        Vjp { operands: graph.operands(node), graph, patch, node, dy, wanted }
    }

    /// The node's operator.
    pub(super) fn op(&self) -> &Op {
        &self.graph.node(self.node).op
    }

    /// Whether an operand's gradient is wanted.
    pub(super) fn wants(&self, operand: usize) -> bool {
        self.wanted[operand].is_some()
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
    pub(super) fn emit(&mut self, operands: &[usize], op: impl Into<Op>, inputs: &[Value]) -> Value {
        let wanted = operands.iter().find_map(|&i| self.wanted[i].clone());
        let (name, origin) = wanted.expect("asked only where one is wanted");
        self.patch.add_as(origin, name, op, self.graph.node(self.node), inputs).into()
    }

    /// [`Vjp::emit`] where that operand's gradient is wanted.
    pub(super) fn emit_if_wanted(
        &mut self,
        operand: usize,
        op: impl Into<Op>,
        inputs: &[Value],
    ) -> Option<Value> {
        self.wants(operand).then(|| self.emit(&[operand], op, inputs))
    }
}
