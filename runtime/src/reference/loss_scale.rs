//! What a scaled loss asks for besides its updates.

use candle_core::{DType, Device, Result, Tensor};
use resnetc_compiler::plan::kernel::LossScaleUpdate;

use super::effects::{Effects, Given};

/// `grad -> finite`
pub(super) fn all_finite(given: &Given<'_>) -> Result<Effects> {
    let grad = given.get("grad")?;
    let size = grad.abs()?.flatten_all()?;
    // Of NaN the comparison is false.
    let finite = size.lt(f64::INFINITY)?.to_dtype(DType::F32)?.min_all()?.to_scalar::<f32>()?;
    Ok(vec![("finite", Tensor::new(finite as u32, grad.device())?)])
}

/// `finite, skipped [, scale, good_steps]`: PyTorch's `_amp_update_scale_`, and the count of steps that were left out.
pub(super) fn update(k: &LossScaleUpdate, given: &Given<'_>) -> Result<Effects> {
    let finite = given.number("finite")? != 0.0;
    let skipped = given.get("skipped")?;
    let (dtype, device) = (skipped.dtype(), skipped.device());
    let mut effects = vec![("skipped", if finite { skipped.clone() } else { (skipped + 1.0)? })];
    if let Some(dynamic) = k.dynamic {
        let (scale, good_steps) = (given.number("scale")?, given.number("good_steps")? + 1.0);
        let grown = scale * f64::from(dynamic.growth);
        let (scale, good_steps) = match finite {
            false => (scale * f64::from(dynamic.backoff), 0.0),
            true if good_steps < f64::from(dynamic.interval) => (scale, good_steps),
            // As a number that memory holds.
            true if (grown as f32).is_finite() => (grown, 0.0),
            true => (scale, 0.0),
        };
        effects.push(("scale", scalar(scale, dtype, device)?));
        effects.push(("good_steps", scalar(good_steps, dtype, device)?));
    }
    Ok(effects)
}

fn scalar(value: f64, dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::new(value, device)?.to_dtype(dtype)
}
