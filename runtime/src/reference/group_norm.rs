//! Group normalisation (Wu and He 2018). Statistics in two passes: first the mean, then the mean square of the
//! differences from it.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::plan::GroupGeometry;

use super::effects::Effects;
use super::norm::unactivated;
use super::pointwise::finish;

/// A map as `[images, groups, channels of a group, pixels]`.
fn maps(g: &GroupGeometry, x: &Tensor) -> Result<Tensor> {
    x.reshape((g.images, g.groups, g.channels / g.groups, g.pixels))
}

/// A statistic, to be broadcast over [`maps`].
fn per_group(g: &GroupGeometry, v: &Tensor) -> Result<Tensor> {
    v.reshape((g.images, g.groups, 1, 1))
}

/// A per-channel vector, to be broadcast over [`maps`].
fn per_channel(g: &GroupGeometry, v: &Tensor) -> Result<Tensor> {
    v.reshape((1, g.groups, g.channels / g.groups, 1))
}

/// Means over groups: [`maps`] to `[images, groups]`.
fn means(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.mean(2)
}

/// `(x - mean) * rstd`
fn normalise(g: &GroupGeometry, x: &Tensor, mean: &Tensor, rstd: &Tensor) -> Result<Tensor> {
    maps(g, x)?.broadcast_sub(&per_group(g, mean)?)?.broadcast_mul(&per_group(g, rstd)?)
}

/// `x -> mean, rstd`
pub(super) fn statistics(g: &GroupGeometry, eps: f32, inputs: &[Tensor]) -> Result<Effects> {
    let x = maps(g, &inputs[0])?;
    let mean = means(&x)?;
    let var = means(&x.broadcast_sub(&per_group(g, &mean)?)?.sqr()?)?;
    let rstd = (var + f64::from(eps))?.sqrt()?.recip()?;
    Ok(vec![mean, rstd].into())
}

/// `x, mean, rstd, scale, shift [, residual] -> y`
pub(super) fn apply(g: &GroupGeometry, epilogue: Epilogue, inputs: &[Tensor]) -> Result<Effects> {
    let xhat = normalise(g, &inputs[0], &inputs[1], &inputs[2])?;
    let y = xhat.broadcast_mul(&per_channel(g, &inputs[3])?)?.broadcast_add(&per_channel(g, &inputs[4])?)?;
    Ok(finish(&y, epilogue, inputs.last())?.into())
}

/// `dy, x, mean, rstd, scale [, y] -> dscale, dshift, slope, offset`: `dscale = sum(g * xhat)`, `dshift = sum(g)`, `g` the
/// gradient before the activation; `slope` and `offset` the groups' means of `scale * g * xhat` and `scale * g`.
pub(super) fn backward_reduce(
    g: &GroupGeometry,
    act: Option<Activation>,
    inputs: &[Tensor],
) -> Result<Effects> {
    let dy = unactivated(act, &maps(g, &inputs[0])?, inputs)?;
    let products = (&dy * normalise(g, &inputs[1], &inputs[2], &inputs[3])?)?;
    let scale = per_channel(g, &inputs[4])?;
    let sums = |x: &Tensor| x.sum((0, 3))?.flatten_all();
    let of_groups = |x: &Tensor| means(&x.broadcast_mul(&scale)?);
    Ok(vec![sums(&products)?, sums(&dy)?, of_groups(&products)?, of_groups(&dy)?].into())
}

/// `dy, x, mean, rstd, scale, slope, offset [, y] -> dx [, dresidual]`:
/// `dx = rstd * (scale * g - offset - xhat * slope)`, `dresidual = g`.
pub(super) fn backward_apply(g: &GroupGeometry, epilogue: Epilogue, inputs: &[Tensor]) -> Result<Effects> {
    let dy = unactivated(epilogue.act, &maps(g, &inputs[0])?, inputs)?;
    let xhat = normalise(g, &inputs[1], &inputs[2], &inputs[3])?;
    let scaled = dy.broadcast_mul(&per_channel(g, &inputs[4])?)?.broadcast_sub(&per_group(g, &inputs[6])?)?;
    let centred = (scaled - xhat.broadcast_mul(&per_group(g, &inputs[5])?)?)?;
    let dx = centred.broadcast_mul(&per_group(g, &inputs[3])?)?;
    Ok(if epilogue.residual { vec![dx, dy] } else { vec![dx] }.into())
}
