//! The optimizers' updates. Operands: `param, grad`, the tensors of the state, `rate, step`.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::update::{AdamWAttrs, SgdAttrs, UpdateRule};

use super::effects::{Effects, whole};

pub(super) fn update(rule: UpdateRule, inputs: &[Tensor]) -> Result<Effects> {
    let [param, grad, state @ .., rate, step] = inputs else {
        candle_core::bail!("an update has five operands or more, not {}", inputs.len())
    };
    let rate = rate.flatten_all()?.get(0)?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
    let now = Now { rate, step: whole(step)? };
    let (param, state) = match rule {
        UpdateRule::Sgd(attrs) => sgd(&attrs, &now, param, grad, &state[0])?,
        UpdateRule::AdamW(attrs) => adamw(&attrs, &now, param, grad, state)?,
    };
    let updates = [(0, param)].into_iter().chain((2..).zip(state)).collect();
    Ok(Effects { outputs: Vec::new(), updates })
}

struct Now {
    rate: f64,
    /// From 0.
    step: u64,
}

/// The new parameter and state.
type Updated = Result<(Tensor, Vec<Tensor>)>;

/// PyTorch's SGD: see [`SgdAttrs`].
fn sgd(attrs: &SgdAttrs, now: &Now, param: &Tensor, grad: &Tensor, velocity: &Tensor) -> Updated {
    let grad = (grad + (param * f64::from(attrs.weight_decay))?)?;
    let momentum = f64::from(attrs.momentum);
    if momentum == 0.0 {
        return Ok(((param - (grad * now.rate)?)?, vec![velocity.clone()]));
    }
    let velocity = match now.step {
        0 => grad.clone(),
        _ => ((velocity * momentum)? + (&grad * (1.0 - f64::from(attrs.dampening)))?)?,
    };
    let step = if attrs.nesterov { (grad + (&velocity * momentum)?)? } else { velocity.clone() };
    Ok(((param - (step * now.rate)?)?, vec![velocity]))
}

/// PyTorch's AdamW: see [`AdamWAttrs`].
fn adamw(attrs: &AdamWAttrs, now: &Now, param: &Tensor, grad: &Tensor, state: &[Tensor]) -> Updated {
    let (t, rate) = ((now.step + 1) as f64, now.rate);
    let [beta1, beta2] = [attrs.beta1, attrs.beta2].map(f64::from);
    let param = (param * (1.0 - rate * f64::from(attrs.weight_decay)))?;
    let mean = ((&state[0] * beta1)? + (grad * (1.0 - beta1))?)?;
    let square = ((&state[1] * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
    let root = ((square.sqrt()? / (1.0 - beta2.powf(t)).sqrt())? + f64::from(attrs.eps))?;
    let step = ((&mean / root)? * (rate / (1.0 - beta1.powf(t))))?;
    Ok(((param - step)?, vec![mean, square]))
}
