//! The optimizers' updates. Operands: `param, grad`, the tensors of the state, `rate, step`, and of a scaled loss `scale, finite,
//! skipped`.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::ir::update::{
    AdamWAttrs, LambAttrs, LarsAttrs, LionAttrs, Matrix, MuonAttrs, NEWTON_SCHULZ, NEWTON_SCHULZ_EPS,
    NEWTON_SCHULZ_STEPS, SgdAttrs, UpdateRule,
};
use resnetc_compiler::plan::kernel::Update;

use super::effects::{Effects, Given};

pub(super) fn update(k: &Update, given: &Given<'_>) -> Result<Effects> {
    let (rate, step) = (given.number("rate")? * f64::from(k.lr_scale), given.whole("step")?);
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
        UpdateRule::Lamb(attrs) => lamb(&attrs, &now, k.rule.per_tensor(), given),
        UpdateRule::Lars(attrs) => lars(&attrs, &now, k.rule.per_tensor(), given),
        UpdateRule::Lion(attrs) => lion(&attrs, &now, given),
        UpdateRule::Muon(attrs) => {
            muon(&attrs, &now, k.matrix.expect("lowering gives it to rules that take a matrix"), given)
        }
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
    let grad = (&now.grad + (given.get("param")? * f64::from(attrs.weight_decay))?)?;
    decayed(attrs, now, &grad, given)
}

/// The velocity and the step, of a gradient that has the decay.
fn decayed(attrs: &SgdAttrs, now: &Now, grad: &Tensor, given: &Given<'_>) -> Result<Effects> {
    let (param, velocity) = (given.get("param")?, given.get("velocity")?);
    let momentum = f64::from(attrs.momentum);
    if momentum == 0.0 {
        return Ok(vec![("param", (param - (grad * now.rate)?)?), ("velocity", velocity.clone())]);
    }
    let velocity = match now.step {
        0 => grad.clone(),
        _ => ((velocity * momentum)? + (grad * (1.0 - f64::from(attrs.dampening)))?)?,
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

/// Lion: see [`LionAttrs`].
fn lion(attrs: &LionAttrs, now: &Now, given: &Given<'_>) -> Result<Effects> {
    let mean = given.get("exp_avg")?;
    let mixed =
        |beta: f32| -> Result<Tensor> { (mean * f64::from(beta))? + (&now.grad * (1.0 - f64::from(beta)))? };
    let param = (given.get("param")? * (1.0 - now.rate * f64::from(attrs.weight_decay)))?;
    let step = (mixed(attrs.beta1)?.sign()? * now.rate)?;
    Ok(vec![("param", (param - step)?), ("exp_avg", mixed(attrs.beta2)?)])
}

/// LAMB: see [`LambAttrs`].
fn lamb(attrs: &LambAttrs, now: &Now, adapts: bool, given: &Given<'_>) -> Result<Effects> {
    let (t, param, grad) = ((now.step + 1) as f64, given.get("param")?, &now.grad);
    let [beta1, beta2] = [attrs.beta1, attrs.beta2].map(f64::from);
    let mean = ((given.get("exp_avg")? * beta1)? + (grad * (1.0 - beta1))?)?;
    let square = ((given.get("exp_avg_sq")? * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
    let root = ((square.sqrt()? / (1.0 - beta2.powf(t)).sqrt())? + f64::from(attrs.eps))?;
    let adam = ((&mean / root)? / (1.0 - beta1.powf(t)))?;
    let direction = (adam + (param * f64::from(attrs.weight_decay))?)?;
    let mut ratio = 1.0;
    if adapts {
        let norms = [norm(param)?, norm(&direction)?];
        ratio = if norms.contains(&0.0) { 1.0 } else { norms[0] / norms[1] };
        ratio = if attrs.trust_clip { ratio.min(1.0) } else { ratio };
    }
    let step = (direction * (now.rate * ratio))?;
    Ok(vec![("param", (param - step)?), ("exp_avg", mean), ("exp_avg_sq", square)])
}

/// LARS: see [`LarsAttrs`].
fn lars(attrs: &LarsAttrs, now: &Now, adapts: bool, given: &Given<'_>) -> Result<Effects> {
    let (param, decay) = (given.get("param")?, f64::from(attrs.weight_decay));
    let mut ratio = 1.0;
    let norms = [norm(param)?, norm(&now.grad)?];
    if adapts && !norms.contains(&0.0) {
        let below = norms[1] + norms[0] * decay + f64::from(attrs.eps);
        ratio = f64::from(attrs.trust_coeff) * norms[0] / below;
        ratio = if attrs.trust_clip { (ratio / now.rate).min(1.0) } else { ratio };
    }
    let grad = ((&now.grad + (param * decay)?)? * ratio)?;
    let LarsAttrs { momentum, dampening, nesterov, weight_decay, .. } = *attrs;
    decayed(&SgdAttrs { momentum, dampening, nesterov, weight_decay }, now, &grad, given)
}

/// Muon: see [`MuonAttrs`].
fn muon(attrs: &MuonAttrs, now: &Now, matrix: Matrix, given: &Given<'_>) -> Result<Effects> {
    let (momentum, param) = (f64::from(attrs.momentum), given.get("param")?);
    let towards = |mean: &Tensor| -> Result<Tensor> { (mean * momentum)? + (&now.grad * (1.0 - momentum))? };
    let mean = towards(given.get("momentum_buffer")?)?;
    let moved = if attrs.nesterov { towards(&mean)? } else { mean.clone() };
    let step = orthogonal(&moved.reshape((matrix.rows, matrix.cols))?)?.reshape(param.shape())?;
    let kept = (param * (1.0 - now.rate * f64::from(attrs.weight_decay)))?;
    let param = (kept - (step * (now.rate * matrix.scale()))?)?;
    Ok(vec![("param", param), ("momentum_buffer", mean)])
}

/// A matrix with singular values of about 1, by Newton and Schulz's iteration.
fn orthogonal(moved: &Tensor) -> Result<Tensor> {
    let [a, b, c] = NEWTON_SCHULZ.map(f64::from);
    let wide = moved.dim(0)? <= moved.dim(1)?;
    let mut x = if wide { moved.clone() } else { moved.t()?.contiguous()? };
    x = (&x / (norm(&x)? + f64::from(NEWTON_SCHULZ_EPS)))?;
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let gram = x.matmul(&x.t()?.contiguous()?)?;
        let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    if wide { Ok(x) } else { x.t()?.contiguous() }
}

/// The root of the sum of squares.
fn norm(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?.sqrt())
}
