//! Clipping of gradients.

use candle_core::{DType, Result};
use resnetc_compiler::ir::clip::Clip;
use resnetc_compiler::plan::kernel::ClipGradients;

use super::effects::{Effects, Given};

/// `grad [, scale]`
pub(super) fn clip(k: &ClipGradients, given: &Given<'_>) -> Result<Effects> {
    let (grad, max) = (given.get("grad")?, f64::from(k.by.max()));
    let scale = if k.scaled { given.number("scale")? } else { 1.0 };
    let clipped = match k.by {
        Clip::Norm(_) => {
            let norm = grad.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?.sqrt() / scale;
            let factor = max / (norm + Clip::EPS);
            if factor >= 1.0 { grad.clone() } else { (grad * factor)? }
        }
        Clip::Value(_) => grad.clamp(-max * scale, max * scale)?,
    };
    Ok(vec![("grad", clipped)])
}
