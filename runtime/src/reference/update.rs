//! The optimizers' updates. Operands: `param, grad`, the tensors of the state, `rate, step`, and of a scaled loss `scale, finite,
//! skipped`.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::update::{AdamWAttrs, SgdAttrs, UpdateRule};
use resnetc_compiler::plan::kernel::Update;

use super::effects::{Effects, Given};

pub(super) fn update(k: &Update, given: &Given<'_>) -> Result<Effects> {
    let (rate, step) = (given.number("rate")?, given.whole("step")?);
    let mut now = Now { rate, step, grad: given.get("grad")?.clone() };
    if k.scaled {
        if given.number("finite")? == 0.0 {
            return unchanged(k, given);
        }
        now.step = now.step.saturating_sub(given.number("skipped")? as u64);
        now.grad = (now.grad / given.number("scale")?)?;
    }
    match k.rule {
        UpdateRule::Sgd(attrs) => sgd(&attrs, &now, given),
        UpdateRule::AdamW(attrs) => adamw(&attrs, &now, given),
    }
}

/// A step that is left out.
fn unchanged(k: &Update, given: &Given<'_>) -> Result<Effects> {
    let names = ["param"].into_iter().chain(k.rule.state().iter().copied());
    names.map(|name| Ok((name, given.get(name)?.clone()))).collect()
}

struct Now {
    rate: f64,
    /// From 0, of those that were not left out.
    step: u64,
    /// Of the loss itself.
    grad: Tensor,
}

/// PyTorch's SGD: see [`SgdAttrs`].
fn sgd(attrs: &SgdAttrs, now: &Now, given: &Given<'_>) -> Result<Effects> {
    let (param, velocity) = (given.get("param")?, given.get("velocity")?);
    let grad = (&now.grad + (param * f64::from(attrs.weight_decay))?)?;
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
    let grad = &now.grad;
    let param = (given.get("param")? * (1.0 - rate * f64::from(attrs.weight_decay)))?;
    let mean = ((given.get("exp_avg")? * beta1)? + (grad * (1.0 - beta1))?)?;
    let square = ((given.get("exp_avg_sq")? * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
    let root = ((square.sqrt()? / (1.0 - beta2.powf(t)).sqrt())? + f64::from(attrs.eps))?;
    let step = ((&mean / root)? * (rate / (1.0 - beta1.powf(t))))?;
    Ok(vec![("param", (param - step)?), ("exp_avg", mean), ("exp_avg_sq", square)])
}
