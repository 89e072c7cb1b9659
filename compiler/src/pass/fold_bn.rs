//! Inference: a batch normalisation with running statistics is an affine map per channel. Behind a convolution it goes
//! into the weight and the bias; elsewhere it becomes an [`Op::Affine`].
//!
//! With `s = scale / sqrt(var + eps)`: `weight' = weight * s`, `bias' = shift + (bias - mean) * s`. The values are the
//! runtime's: the parameters get recipes, and first values of the same distribution.

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Node, NodeId, Value};
use crate::ir::op::{Affine, BatchNorm, BnTensors, Conv, Epilogue, Init, Op, Param, Recipe, Role};
use crate::ir::patch::Patch;

pub(super) fn run(graph: &Graph, _context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    for id in graph.ids() {
        let Op::BatchNorm(BatchNorm { eps, .. }) = graph.node(id).op else { continue };
        let norm = Norm::read(graph, id, eps);
        match foldable(graph, &norm) {
            Ok(conv) => fold(graph, &mut patch, &norm, conv),
            Err(reason) => affine(graph, &mut patch, &norm, reason),
        }
    }
    Ok(patch)
}

/// A normalisation and its parameters.
struct Norm {
    id: NodeId,
    operands: Vec<Value>,
    tensors: BnTensors,
    /// First values of `s` and of `shift - mean * s`, where the parameters start as constants.
    initial: Option<(f32, f32)>,
}

impl Norm {
    fn read(graph: &Graph, id: NodeId, eps: f32) -> Self {
        let operands = graph.operands(id);
        let name = |i: usize| graph.node(operands[i].node).name.clone();
        let constant = |i: usize| {
            let Op::Param(Param { init: Init::Constant(value), .. }) = &graph.node(operands[i].node).op
            else {
                return None;
            };
            Some(*value)
        };
        let values = (constant(1), constant(2), constant(3), constant(4));
        let initial = if let (Some(scale), Some(shift), Some(mean), Some(var)) = values {
            let s = scale / (var + eps).sqrt();
            Some((s, shift - mean * s))
        } else {
            None
        };
        let tensors = BnTensors { scale: name(1), shift: name(2), mean: name(3), var: name(4), eps };
        Norm { id, operands, tensors, initial }
    }
}

/// The convolution that takes the normalisation in.
fn foldable(graph: &Graph, norm: &Norm) -> Result<NodeId, &'static str> {
    let x = norm.operands[0];
    let Op::Conv(Conv { epilogue, .. }) = &graph.node(x.node).op else {
        return Err("no convolution before it");
    };
    if graph.sole_user(x).is_none() {
        return Err("the convolution's result has another user");
    }
    if *epilogue != Epilogue::default() {
        return Err("the convolution has an epilogue");
    }
    let own = |value: &Value| graph.sole_user(*value).is_some();
    if !graph.operands(x.node)[1..].iter().all(own) {
        return Err("the convolution shares its weight");
    }
    Ok(x.node)
}

fn fold(graph: &Graph, patch: &mut Patch, norm: &Norm, conv: NodeId) {
    let node = graph.node(conv);
    let Op::Conv(Conv { attrs, bias, epilogue }) = node.op else { return };
    let mut operands = graph.operands(conv);
    let (s, offset) = norm.initial.unwrap_or((1.0, 0.0));
    let param = |value: Value| {
        let Node { name, op: Op::Param(Param { shape, init, .. }), .. } = graph.node(value.node) else {
            unreachable!("the verifier has checked that `{}` is a parameter", graph.value_name(value));
        };
        (name.clone(), shape.clone(), *init)
    };

    let (weight, shape, init) = param(operands[1]);
    let recipe = Recipe::FoldedWeight { weight, bn: norm.tensors.clone() };
    let op = Op::Param(Param { shape, role: Role::ConvWeight, init: scaled(init, s), recipe });
    patch.replace(operands[1].node, op, &[]);

    let shape = param(norm.operands[2]).1;
    let role = Role::Bias;
    if bias {
        let (name, _, init) = param(operands[2]);
        let init = match init {
            Init::Constant(bias) => Init::Constant(bias * s + offset),
            Init::Normal { .. } | Init::TruncatedNormal { .. } | Init::Uniform { .. } => scaled(init, s),
        };
        let recipe = Recipe::FoldedShift { bias: Some(name), bn: norm.tensors.clone() };
        patch.replace(operands[2].node, Op::Param(Param { shape, role, init, recipe }), &[]);
    } else {
        let recipe = Recipe::FoldedShift { bias: None, bn: norm.tensors.clone() };
        let op = Op::Param(Param { shape, role, init: Init::Constant(offset), recipe });
        operands.push(patch.add(format!("{}.bias", node.name), op, node, &[]).into());
    }
    patch.replace(conv, Op::Conv(Conv { attrs, bias: true, epilogue }), &operands);
    patch.redirect(norm.id, conv);
    patch.remove(norm.id);
    let folded = graph.node(norm.id);
    patch.fused(conv, folded, "folded", folded);
}

/// The distribution of `factor` times a value drawn from it.
fn scaled(init: Init, factor: f32) -> Init {
    match init {
        Init::Constant(value) => Init::Constant(value * factor),
        Init::Normal { .. } | Init::TruncatedNormal { .. } | Init::Uniform { .. } if factor == 0.0 => {
            Init::Constant(0.0)
        }
        // Symmetric about zero: the sign does not matter.
        Init::Normal { std } => Init::Normal { std: std * factor.abs() },
        Init::TruncatedNormal { std } => Init::TruncatedNormal { std: std * factor.abs() },
        Init::Uniform { bound } => Init::Uniform { bound: bound * factor.abs() },
    }
}

/// Turns the normalisation into an affine map; its scale and shift become folded ones.
fn affine(graph: &Graph, patch: &mut Patch, norm: &Norm, reason: &str) {
    let node = graph.node(norm.id);
    let (s, offset) = norm.initial.unwrap_or((1.0, 0.0));
    let parts = [
        (1, Role::NormScale, s, Recipe::FoldedScale { bn: norm.tensors.clone() }),
        (2, Role::NormShift, offset, Recipe::FoldedShift { bias: None, bn: norm.tensors.clone() }),
    ];
    let mut operands = vec![norm.operands[0]];
    for (i, role, init, recipe) in parts {
        let value = norm.operands[i];
        let shape = graph.value_type(value).expect("types are inferred before folding").shape.clone();
        let op = Op::Param(Param { shape, role, init: Init::Constant(init), recipe });
        if graph.sole_user(value).is_some() {
            patch.replace(value.node, op, &[]);
            operands.push(value);
        } else {
            // Shared between normalisations: each needs its own.
            let suffix = if i == 1 { "folded_scale" } else { "folded_shift" };
            operands.push(patch.add(format!("{}.{suffix}", node.name), op, node, &[]).into());
        }
    }
    patch.replace(norm.id, Op::Affine(Affine { epilogue: Epilogue::default() }), &operands);
    patch.fired(norm.id, node, format!("affine: {reason}"));
}
