//! Softmax and cross-entropy, with PyTorch's label smoothing: the target is `(1 - s) * onehot(label) + s / classes`.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::plan::kernel::{CrossEntropy, CrossEntropyBackward, Softmax};

use super::effects::{Effects, Given};

/// `log(softmax(x))` over the last dimension, the largest logit taken out first.
pub(super) fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}

/// `labels [rows] -> [rows, classes]`; NaN where a label is no class.
fn target(labels: &Tensor, classes: usize, smoothing: f32, dtype: DType) -> Result<Tensor> {
    smoothed(&onehot(labels, classes, dtype)?, classes, smoothing)
}

/// `labels [rows] -> [rows, classes]`; NaN where a label is no class.
pub(super) fn onehot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    let all = Tensor::arange(0, classes as u32, labels.device())?.reshape((1, classes))?;
    let onehot = labels.flatten_all()?.unsqueeze(1)?.broadcast_eq(&all)?.to_dtype(dtype)?;
    let known = onehot.sum_keepdim(1)?;
    onehot.broadcast_div(&known)
}

/// A target of which all classes get a share in equal parts.
pub(super) fn smoothed(target: &Tensor, classes: usize, smoothing: f32) -> Result<Tensor> {
    let smoothing = f64::from(smoothing);
    target.affine(1.0 - smoothing, smoothing / classes as f64)
}

/// `logits -> probabilities`
pub(super) fn softmax_kernel(k: &Softmax, given: &Given<'_>) -> Result<Effects> {
    let logits = given.get("logits")?.reshape((k.rows, k.classes))?;
    Ok(vec![("probabilities", log_softmax(&logits)?.exp()?)])
}

/// `logits, labels -> loss, correct`
pub(super) fn forward(k: &CrossEntropy, given: &Given<'_>) -> Result<Effects> {
    let logits = given.get("logits")?.reshape((k.rows, k.classes))?;
    let labels = given.get("labels")?;
    let target = target(labels, k.classes, k.smoothing, logits.dtype())?;
    let loss = ((log_softmax(&logits)? * target)?.sum_all()? / -(k.rows as f64))?;
    let hits = logits.argmax(1)?.eq(&labels.flatten_all()?)?;
    Ok(vec![("loss", loss), ("correct", hits.to_dtype(logits.dtype())?.sum_all()?)])
}

/// `logits, labels [, scale] -> dlogits`: `(softmax(logits) - target) / rows * scale`
pub(super) fn backward(k: &CrossEntropyBackward, given: &Given<'_>) -> Result<Effects> {
    let logits = given.get("logits")?.reshape((k.rows, k.classes))?;
    let target = target(given.get("labels")?, k.classes, k.smoothing, logits.dtype())?;
    let scale = if k.scaled { given.number("scale")? } else { 1.0 };
    Ok(vec![("dlogits", ((log_softmax(&logits)?.exp()? - target)? * (scale / k.rows as f64))?)])
}
