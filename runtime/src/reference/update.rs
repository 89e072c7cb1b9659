//! The optimizers' updates. Operands: `param, grad`, the tensors of the state, `rate, step`.

use candle_core::{DType, Result};
use resnetc_compiler::ir::update::{AdamWAttrs, SgdAttrs, UpdateRule};
use resnetc_compiler::plan::kernel::Update;

use super::effects::{Effects, Given};

pub(super) fn update(k: &Update, given: &Given<'_>) -> Result<Effects> {
    let rate = given.get("rate")?.flatten_all()?.get(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    let now = Now { rate, step: given.whole("step")? };
    match k.rule {
        UpdateRule::Sgd(attrs) => sgd(&attrs, &now, given),
        UpdateRule::AdamW(attrs) => adamw(&attrs, &now, given),
    }
}

struct Now {
    rate: f64,
    /// From 0.
    step: u64,
}

/// PyTorch's SGD: see [`SgdAttrs`].
fn sgd(attrs: &SgdAttrs, now: &Now, given: &Given<'_>) -> Result<Effects> {
    let (param, velocity) = (given.get("param")?, given.get("velocity")?);
    let grad = (given.get("grad")? + (param * f64::from(attrs.weight_decay))?)?;
    let momentum = f64::from(attrs.momentum);
    if momentum == 0.0 {
        return Ok(vec![("param", (param - (grad * now.rate)?)?), ("velocity", velocity.clone())]);
    }
    let velocity = match now.step {
        0 => grad.clone(),
        _ => ((velocity * momentum)? + (&grad * (1.0 - f64::from(attrs.dampening)))?)?,
    };
    let step = if attrs.nesterov { (grad + (&velocity * momentum)?)? } else { velocity.clone() };
    Ok(vec![("param", (param - (step * now.rate)?)?), ("velocity", velocity)])
}

/// PyTorch's AdamW: see [`AdamWAttrs`].
fn adamw(attrs: &AdamWAttrs, now: &Now, given: &Given<'_>) -> Result<Effects> {
    let (t, rate) = ((now.step + 1) as f64, now.rate);
    let [beta1, beta2] = [attrs.beta1, attrs.beta2].map(f64::from);
    let grad = given.get("grad")?;
    let param = (given.get("param")? * (1.0 - rate * f64::from(attrs.weight_decay)))?;
    let mean = ((given.get("exp_avg")? * beta1)? + (grad * (1.0 - beta1))?)?;
    let square = ((given.get("exp_avg_sq")? * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
    let root = ((square.sqrt()? / (1.0 - beta2.powf(t)).sqrt())? + f64::from(attrs.eps))?;
    let step = ((&mean / root)? * (rate / (1.0 - beta1.powf(t))))?;
    Ok(vec![("param", (param - step)?), ("exp_avg", mean), ("exp_avg_sq", square)])
}
