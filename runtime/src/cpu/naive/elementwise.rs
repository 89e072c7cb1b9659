//! Activations, sums and the optimizer's update.

use resnetc_compiler::ir::op::{Activation, SgdAttrs};

/// An activation of one element.
pub fn activate(act: Activation, x: f64) -> f64 {
    match act {
        Activation::Relu => {
            if x <= 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x * normal(x),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Probability of what is below `x` in the standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// The error function by a series without cancellation,
/// `2 / sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n + 1) / (1 * 3 * ... * (2n + 1))`.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
    while f64::abs(term) > 1e-18 * f64::abs(sum) {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Derivative of an activation, from its result or its input, as [`Activation::grad_from`] says.
pub fn derivative(act: Activation, y: f64) -> f64 {
    match act {
        Activation::Relu => {
            if y > 0.0 {
                1.0
            } else {
                0.0
            }
        }
        Activation::LeakyRelu { slope } => {
            if y > 0.0 {
                1.0
            } else {
                f64::from(slope)
            }
        }
        Activation::Sigmoid => y * (1.0 - y),
        Activation::Tanh => 1.0 - y * y,
        Activation::Silu => sigmoid(y) * (1.0 + y * (1.0 - sigmoid(y))),
        Activation::Gelu => normal(y) + y * (-y * y / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt(),
    }
}

/// The gradient before the activation; `y`, the activation's result (or input), is there when `act` is.
pub fn masked(act: Option<Activation>, dy: &[f64], y: Option<&[f64]>) -> Vec<f64> {
    match (act, y) {
        (Some(act), Some(y)) => dy.iter().zip(y).map(|(d, y)| d * derivative(act, *y)).collect(),
        _ => dy.to_vec(),
    }
}

/// `act(a + b)`
pub fn add(act: Option<Activation>, a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| act.map_or(a + b, |act| activate(act, a + b))).collect()
}

/// PyTorch's SGD, one step: the new parameter and velocity.
pub fn sgd(
    sgd: &SgdAttrs,
    lr: f32,
    first_update: bool,
    param: &[f64],
    grad: &[f64],
    velocity: &[f64],
) -> [Vec<f64>; 2] {
    let (mu, lr) = (f64::from(sgd.momentum), f64::from(lr));
    let one = |((p, g), v): ((&f64, &f64), &f64)| {
        let g = g + f64::from(sgd.weight_decay) * p;
        if mu == 0.0 {
            return (p - lr * g, *v);
        }
        let v = if first_update { g } else { mu * v + (1.0 - f64::from(sgd.dampening)) * g };
        let step = if sgd.nesterov { g + mu * v } else { v };
        (p - lr * step, v)
    };
    let (param, velocity) = param.iter().zip(grad).zip(velocity).map(one).unzip();
    [param, velocity]
}
