//! Softmax and cross-entropy, with PyTorch's label smoothing: the target is `(1 - s) * onehot(label) + s / classes`.

use candle_core::{DType, Result, Tensor};

use super::effects::Effects;

/// `log(softmax(x))` over the last dimension, the largest logit taken out first.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}

/// `labels [rows] -> [rows, classes]`; NaN where a label is no class.
fn target(labels: &Tensor, classes: usize, smoothing: f32, dtype: DType) -> Result<Tensor> {
    let smoothing = f64::from(smoothing);
    let all = Tensor::arange(0, classes as u32, labels.device())?.reshape((1, classes))?;
    let onehot = labels.flatten_all()?.unsqueeze(1)?.broadcast_eq(&all)?.to_dtype(dtype)?;
    let known = onehot.sum_keepdim(1)?;
    onehot.broadcast_div(&known)?.affine(1.0 - smoothing, smoothing / classes as f64)
}

/// `logits -> probabilities`
pub(super) fn softmax_kernel(rows: usize, classes: usize, inputs: &[Tensor]) -> Result<Effects> {
    Ok(log_softmax(&inputs[0].reshape((rows, classes))?)?.exp()?.into())
}

/// `logits, labels -> loss, correct`
pub(super) fn forward(rows: usize, classes: usize, smoothing: f32, inputs: &[Tensor]) -> Result<Effects> {
    let logits = inputs[0].reshape((rows, classes))?;
    let target = target(&inputs[1], classes, smoothing, logits.dtype())?;
    let loss = ((log_softmax(&logits)? * target)?.sum_all()? / -(rows as f64))?;
    let hits = logits.argmax(1)?.eq(&inputs[1].flatten_all()?)?;
    let correct = hits.to_dtype(logits.dtype())?.sum_all()?;
    Ok(vec![loss, correct].into())
}

/// `logits, labels -> dlogits`: `(softmax(logits) - target) / rows`
pub(super) fn backward(rows: usize, classes: usize, smoothing: f32, inputs: &[Tensor]) -> Result<Effects> {
    let logits = inputs[0].reshape((rows, classes))?;
    let target = target(&inputs[1], classes, smoothing, logits.dtype())?;
    Ok(((log_softmax(&logits)?.exp()? - target)? / rows as f64)?.into())
}
