//! Activations by the numbers that kernels know them by.

use resnetc_compiler::ir::activation::Activation;

use crate::cuda::launch::{Arg, Place};

/// The number of an activation (`Activation` in `kernels/prelude.cuh`; 0 for none) and its parameter.
pub(super) fn arguments(act: Option<Activation>) -> [Arg<Place>; 2] {
    let slope = act.and_then(Activation::parameter).unwrap_or(0.0);
    [Arg::Int(act.map_or(0, number)), Arg::Float(slope)]
}

fn number(act: Activation) -> u32 {
    match act {
        Activation::Relu => 1,
        Activation::LeakyRelu { .. } => 2,
        Activation::Sigmoid => 3,
        Activation::Tanh => 4,
        Activation::Silu => 5,
        Activation::Gelu => 6,
        Activation::Relu6 => 7,
        Activation::HardSigmoid => 8,
        Activation::HardSwish => 9,
        Activation::Mish => 10,
    }
}
