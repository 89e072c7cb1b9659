//! Losses of targets that are more than a label, as [`Objective`] defines them, and their gradients.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::ir::op::{Distillation, Objective};
use resnetc_compiler::plan::LossGeometry;
use resnetc_compiler::plan::kernel::{TargetLoss, TargetLossBackward};

use super::effects::{Effects, Given};
use super::loss::{log_softmax, onehot, smoothed};

/// What losses are computed from, each `[rows, classes]`.
struct Terms {
    logits: Tensor,
    /// Targets after smoothing and threshold.
    target: Tensor,
    /// The factor of each class, over what the sum is divided by.
    weight: Tensor,
}

/// `(1 - s) * (share * onehot(label) + (1 - share) * onehot(other)) + s / classes`; 0 or 1 where there is a threshold.
fn target(g: &LossGeometry, given: &Given<'_>, dtype: DType) -> Result<Tensor> {
    let mut target = onehot(given.get("labels")?, g.classes, dtype)?;
    if g.mixed {
        let share = given.get("shares")?.flatten_all()?.unsqueeze(1)?.to_dtype(dtype)?;
        let other = onehot(given.get("others")?, g.classes, dtype)?;
        target = (target.broadcast_mul(&share)? + other.broadcast_mul(&share.affine(-1.0, 1.0)?)?)?;
    }
    let target = smoothed(&target, g.classes, g.smoothing)?;
    match g.objective {
        Objective::BinaryCrossEntropy { target_threshold: Some(threshold), .. } => {
            // What is NaN stays it.
            let above = target.gt(f64::from(threshold))?.to_dtype(dtype)?;
            above + (&target * 0.0)?
        }
        _ => Ok(target),
    }
}

impl Terms {
    fn new(g: &LossGeometry, given: &Given<'_>) -> Result<Self> {
        let logits = given.get("logits")?.reshape((g.rows, g.classes))?;
        let dtype = logits.dtype();
        let weight = match g.weighted {
            true => given.get("class_weights")?.reshape((1, g.classes))?.to_dtype(dtype)?,
            false => Tensor::ones((1, g.classes), dtype, logits.device())?,
        };
        let weight = weight.broadcast_as((g.rows, g.classes))?;
        let divisor = match g.divisor() {
            Some(divisor) => divisor,
            None => {
                let of_labels = (onehot(given.get("labels")?, g.classes, dtype)? * &weight)?;
                of_labels.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?
            }
        };
        let target = target(g, given, dtype)?;
        Ok(Terms { logits, target, weight: (weight / divisor)? })
    }

    /// `max(x, 0) - x * t + log(1 + exp(-|x|))`
    fn binary(&self) -> Result<Tensor> {
        let soft = (self.logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
        (self.logits.relu()? - (&self.logits * &self.target)?)? + soft
    }

    /// Focal's `(a, 1 - q)`, of `p = sigmoid(x)`.
    fn focal(&self, alpha: f32) -> Result<[Tensor; 2]> {
        let (t, alpha) = (&self.target, f64::from(alpha));
        let balance = t.affine(2.0 * alpha - 1.0, 1.0 - alpha)?;
        let p = sigmoid(&self.logits)?;
        let miss = ((&p * t.affine(-1.0, 1.0)?)? + (t * sigmoid(&self.logits.neg()?)?)?)?;
        Ok([balance, miss])
    }
}

/// The softmax form's `(1 - s)^gamma`, `1 - s`, `s` and `log(s)`.
fn focus(logits: &Tensor, gamma: f32) -> Result<[Tensor; 4]> {
    let log = log_softmax(logits)?;
    let p = log.exp()?;
    let miss = p.affine(-1.0, 1.0)?.relu()?;
    let power = miss.powf(f64::from(gamma))?;
    Ok([power, miss, p, log])
}

/// `1 / (1 + exp(-x))`, with the exponential of what is not positive.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let small = x.abs()?.neg()?.exp()?;
    let negative = x.lt(0.0)?.to_dtype(x.dtype())?;
    // Of a negative number `small / (1 + small)`, else `1 / (1 + small)`.
    let numerator = ((&negative * &small)? + negative.affine(-1.0, 1.0)?)?;
    numerator / (small + 1.0)?
}

/// What a teacher says of each class: probabilities at the temperature, or 1 for its likeliest class.
fn taught(logits: &Tensor, given: &Given<'_>, how: Distillation) -> Result<Tensor> {
    let teacher = given.get("teacher")?.reshape(logits.shape())?.to_dtype(logits.dtype())?;
    match how.hard {
        true => onehot(&teacher.argmax(1)?, teacher.dim(1)?, logits.dtype()),
        false => log_softmax(&(teacher / f64::from(how.temperature))?)?.exp(),
    }
}

/// The mean over images of `T^2 * KL(teacher || softmax(x / T))`, or of the cross-entropy with the teacher's class.
fn distilled(logits: &Tensor, given: &Given<'_>, how: Distillation) -> Result<Tensor> {
    let rows = logits.dim(0)? as f64;
    let taught = taught(logits, given, how)?;
    if how.hard {
        return (log_softmax(logits)? * taught)?.sum_all()? * (-1.0 / rows);
    }
    let t = f64::from(how.temperature);
    let teacher = given.get("teacher")?.reshape(logits.shape())?.to_dtype(logits.dtype())?;
    let apart = (log_softmax(&(teacher / t)?)? - log_softmax(&(logits / t)?)?)?;
    (taught * apart)?.sum_all()? * (t * t / rows)
}

/// Its gradient: `T * (softmax(x / T) - teacher)` over the images, with `T = 1` for the teacher's class.
fn distilled_backward(logits: &Tensor, given: &Given<'_>, how: Distillation) -> Result<Tensor> {
    let t = if how.hard { 1.0 } else { f64::from(how.temperature) };
    let p = log_softmax(&(logits / t)?)?.exp()?;
    (p - taught(logits, given, how)?)? * (t / logits.dim(0)? as f64)
}

/// `logits, labels [, others, shares] [, teacher] [, class_weights] -> loss, correct`
pub(super) fn forward(k: &TargetLoss, given: &Given<'_>) -> Result<Effects> {
    let terms = Terms::new(&k.geometry, given)?;
    let each = match k.geometry.objective {
        Objective::CrossEntropy => (log_softmax(&terms.logits)? * &terms.target)?.neg()?,
        Objective::BinaryCrossEntropy { .. } => terms.binary()?,
        Objective::Focal { gamma, alpha, .. } => {
            let [balance, miss] = terms.focal(alpha)?;
            ((balance * miss.powf(f64::from(gamma))?)? * terms.binary()?)?
        }
        Objective::SoftmaxFocal { gamma } => {
            let [power, _, _, log] = focus(&terms.logits, gamma)?;
            ((power * log)? * &terms.target)?.neg()?
        }
    };
    let loss = (each * &terms.weight)?.sum_all()?;
    let loss = match k.geometry.distillation {
        Some(how) => {
            let learned = (distilled(&terms.logits, given, how)? * f64::from(how.alpha))?;
            ((loss * (1.0 - f64::from(how.alpha)))? + learned)?
        }
        None => loss,
    };
    let hits = terms.logits.argmax(1)?.eq(&given.get("labels")?.flatten_all()?)?;
    Ok(vec![("loss", loss), ("correct", hits.to_dtype(terms.logits.dtype())?.sum_all()?)])
}

/// `logits, labels [, others, shares] [, teacher] [, class_weights] [, scale] -> dlogits`
pub(super) fn backward(k: &TargetLossBackward, given: &Given<'_>) -> Result<Effects> {
    let terms = Terms::new(&k.geometry, given)?;
    let dlogits = match k.geometry.objective {
        Objective::CrossEntropy => {
            let weighted = (&terms.target * &terms.weight)?;
            let p = log_softmax(&terms.logits)?.exp()?;
            (p.broadcast_mul(&weighted.sum_keepdim(1)?)? - weighted)?
        }
        Objective::BinaryCrossEntropy { .. } => ((sigmoid(&terms.logits)? - &terms.target)? * &terms.weight)?,
        Objective::Focal { gamma, alpha, .. } => {
            let [balance, miss] = terms.focal(alpha)?;
            let p = sigmoid(&terms.logits)?;
            let slope = (&p * sigmoid(&terms.logits.neg()?)?)?;
            // d(miss) / dx; where there is nothing missed, the power has no slope either.
            let slope = (terms.target.affine(-2.0, 1.0)? * slope)?;
            let missed = miss.gt(0.0)?.to_dtype(miss.dtype())?;
            let relative = ((slope * &missed)? / (&miss + missed.affine(-1.0, 1.0)?)?)?;
            let inner = ((p - &terms.target)? + ((terms.binary()? * relative)? * f64::from(gamma))?)?;
            (((balance * miss.powf(f64::from(gamma))?)? * inner)? * &terms.weight)?
        }
        Objective::SoftmaxFocal { gamma } => {
            let [power, miss, p, log] = focus(&terms.logits, gamma)?;
            // Where nothing is missed, the power has no slope either.
            let missed = miss.gt(0.0)?.to_dtype(miss.dtype())?;
            let relative = (((&p * log)? * &missed)? / (&miss + missed.affine(-1.0, 1.0)?)?)?;
            let slope = (power * relative.affine(-f64::from(gamma), 1.0)?)?;
            let weighted = ((slope * &terms.target)? * &terms.weight)?;
            (p.broadcast_mul(&weighted.sum_keepdim(1)?)? - weighted)?
        }
    };
    let dlogits = match k.geometry.distillation {
        Some(how) => {
            let learned = (distilled_backward(&terms.logits, given, how)? * f64::from(how.alpha))?;
            ((dlogits * (1.0 - f64::from(how.alpha)))? + learned)?
        }
        None => dlogits,
    };
    let scale = if k.scaled { given.number("scale")? } else { 1.0 };
    Ok(vec![("dlogits", (dlogits * scale)?)])
}
