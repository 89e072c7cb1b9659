//! Group normalisation (Wu and He 2018). Statistics in two passes: first the mean, then the mean square of the
//! differences from it.

use candle_core::{Result, Tensor};
use resnetc_compiler::plan::GroupGeometry;
use resnetc_compiler::plan::kernel::{GroupApply, GroupBackwardApply, GroupBackwardReduce, GroupStats};

use super::effects::{Effects, Given};
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
fn normalise(g: &GroupGeometry, given: &Given<'_>) -> Result<Tensor> {
    let centred = maps(g, given.get("x")?)?.broadcast_sub(&per_group(g, given.get("mean")?)?)?;
    centred.broadcast_mul(&per_group(g, given.get("rstd")?)?)
}

/// `x -> mean, rstd`
pub(super) fn statistics(k: &GroupStats, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let x = maps(g, given.get("x")?)?;
    let mean = means(&x)?;
    let var = means(&x.broadcast_sub(&per_group(g, &mean)?)?.sqr()?)?;
    let rstd = (var + f64::from(k.eps))?.sqrt()?.recip()?;
    Ok(vec![("mean", mean), ("rstd", rstd)])
}

/// `x, mean, rstd, scale, shift [, residual] -> y`
pub(super) fn apply(k: &GroupApply, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let y = normalise(g, given)?.broadcast_mul(&per_channel(g, given.get("scale")?)?)?;
    let y = y.broadcast_add(&per_channel(g, given.get("shift")?)?)?;
    Ok(vec![("y", finish(&y, given.find("residual"), k.epilogue.act)?)])
}

/// `dy, x, mean, rstd, scale [, y] -> dscale, dshift, slope, offset`: `dscale = sum(g * xhat)`, `dshift = sum(g)`, `g` the
/// gradient before the activation; `slope` and `offset` the groups' means of `scale * g * xhat` and `scale * g`.
pub(super) fn backward_reduce(k: &GroupBackwardReduce, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let dy = unactivated(k.act, &maps(g, given.get("dy")?)?, given)?;
    let products = (&dy * normalise(g, given)?)?;
    let scale = per_channel(g, given.get("scale")?)?;
    let sums = |x: &Tensor| x.sum((0, 3))?.flatten_all();
    let of_groups = |x: &Tensor| means(&x.broadcast_mul(&scale)?);
    Ok(vec![
        ("dscale", sums(&products)?),
        ("dshift", sums(&dy)?),
        ("slope", of_groups(&products)?),
        ("offset", of_groups(&dy)?),
    ])
}

/// `dy, x, mean, rstd, scale, slope, offset [, y] -> dx [, dresidual]`:
/// `dx = rstd * (scale * g - offset - xhat * slope)`, `dresidual = g`.
pub(super) fn backward_apply(k: &GroupBackwardApply, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let of_group = |name: &str| per_group(g, given.get(name)?);
    let dy = unactivated(k.epilogue.act, &maps(g, given.get("dy")?)?, given)?;
    let scaled = dy.broadcast_mul(&per_channel(g, given.get("scale")?)?)?;
    let sloped = normalise(g, given)?.broadcast_mul(&of_group("slope")?)?;
    let centred = (scaled.broadcast_sub(&of_group("offset")?)? - sloped)?;
    Ok(vec![("dx", centred.broadcast_mul(&of_group("rstd")?)?), ("dresidual", dy)])
}
