//! Products of maps and with gates, and their gradients.

use candle_core::{Result, Tensor};
use resnetc_compiler::plan::kernel::{Mul, MulBackward};

use super::effects::{Effects, Given};
use super::norm::unactivated;
use super::pointwise::finish;

/// A factor as `[images, channels, pixels]`; a gate has one pixel.
fn factor(images: usize, channels: usize, x: &Tensor) -> Result<Tensor> {
    x.reshape((images, channels, x.elem_count() / (images * channels)))
}

/// `a, b [, residual] -> act(a * b + residual)`
pub(super) fn mul(k: &Mul, given: &Given<'_>) -> Result<Effects> {
    let of = |name: &str| factor(k.images, k.channels, given.get(name)?);
    let y = of("a")?.broadcast_mul(&of("b")?)?;
    Ok(vec![("y", finish(&y, given.find("residual"), k.epilogue.act)?)])
}

/// `dy, a, b [, y] -> da, db [, dresidual]`
pub(super) fn mul_backward(k: &MulBackward, given: &Given<'_>) -> Result<Effects> {
    let of = |name: &str| factor(k.images, k.channels, given.get(name)?);
    let dy = unactivated(k.epilogue.act, &of("dy")?, given)?;
    let db = (&dy * of("a")?)?;
    let db = if k.gate { db.sum_keepdim(2)? } else { db };
    Ok(vec![("da", dy.broadcast_mul(&of("b")?)?), ("db", db), ("dresidual", dy)])
}
