//! Activations: an operator of ONNX where its set has one that means the same, else a few.

use std::f32::consts::FRAC_1_SQRT_2;

use resnetc_compiler::ir::graph::NodeId;
use resnetc_compiler::ir::op::Activation;

use crate::builder::Builder;
use crate::proto::Attribute::{Float, Text};

/// Writes an activation; the name of its result.
pub fn activate(b: &mut Builder<'_>, id: NodeId, act: Activation, x: String) -> String {
    match act {
        Activation::Relu => b.emit(id, "Relu", vec![x], Vec::new()),
        Activation::LeakyRelu { slope } => b.emit(id, "LeakyRelu", vec![x], vec![("alpha", Float(slope))]),
        Activation::Sigmoid => b.emit(id, "Sigmoid", vec![x], Vec::new()),
        Activation::Tanh => b.emit(id, "Tanh", vec![x], Vec::new()),
        Activation::Silu => {
            let gate = b.emit(id, "Sigmoid", vec![x.clone()], Vec::new());
            b.emit(id, "Mul", vec![x, gate], Vec::new())
        }
        Activation::Gelu => gelu(b, id, x),
        Activation::Relu6 => {
            let bounds = [b.scalar(0.0), b.scalar(6.0)];
            b.emit(id, "Clip", [vec![x], bounds.to_vec()].concat(), Vec::new())
        }
        Activation::HardSigmoid => {
            let attributes = vec![("alpha", Float(1.0 / 6.0)), ("beta", Float(0.5))];
            b.emit(id, "HardSigmoid", vec![x], attributes)
        }
        Activation::HardSwish => b.emit(id, "HardSwish", vec![x], Vec::new()),
        Activation::Mish if b.opset >= 18 => b.emit(id, "Mish", vec![x], Vec::new()),
        Activation::Mish => {
            let soft = b.emit(id, "Softplus", vec![x.clone()], Vec::new());
            let gate = b.emit(id, "Tanh", vec![soft], Vec::new());
            b.emit(id, "Mul", vec![x, gate], Vec::new())
        }
    }
}

/// `x * (1 + erf(x / sqrt(2))) / 2`; set 20 has it.
fn gelu(b: &mut Builder<'_>, id: NodeId, x: String) -> String {
    if b.opset >= 20 {
        return b.emit(id, "Gelu", vec![x], vec![("approximate", Text("none"))]);
    }
    let [root, one, half] = [FRAC_1_SQRT_2, 1.0, 0.5].map(|value| b.scalar(value));
    let y = b.emit(id, "Mul", vec![x.clone(), root], Vec::new());
    let y = b.emit(id, "Erf", vec![y], Vec::new());
    let y = b.emit(id, "Add", vec![y, one], Vec::new());
    let y = b.emit(id, "Mul", vec![x, y], Vec::new());
    b.emit(id, "Mul", vec![y, half], Vec::new())
}
