//! Batch normalisation (Ioffe and Szegedy 2015) and per-channel sums. Statistics in two passes: first the mean, then
//! the mean square of the differences from it.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::Activation;
use resnetc_compiler::plan::kernel::{
    Affine, BnApply, BnBackwardApply, BnBackwardReduce, BnMoments, BnStats, ChannelSum, RunningRstd,
};

use super::effects::{Effects, Given};
use super::pointwise::{activate_backward, finish};

/// A map as `[images, channels, pixels]`, whether it is `[n, c, h, w]` or `[n, c]`.
fn maps(x: &Tensor, rows: usize, channels: usize) -> Result<Tensor> {
    let images = x.dim(0)?;
    x.reshape((images, channels, rows / images))
}

/// A per-channel vector, to be broadcast over [`maps`].
fn per_channel(v: &Tensor) -> Result<Tensor> {
    v.reshape((1, v.elem_count(), 1))
}

/// Sums over everything but channels: `[images, channels, pixels] -> [channels]`.
fn sums(x: &Tensor) -> Result<Tensor> {
    x.sum((0, 2))
}

/// `(x - mean) * rstd`
fn normalise(x: &Tensor, given: &Given<'_>) -> Result<Tensor> {
    let centred = x.broadcast_sub(&per_channel(given.get("mean")?)?)?;
    centred.broadcast_mul(&per_channel(given.get("rstd")?)?)
}

/// `dy -> db`
pub(super) fn channel_sum(k: &ChannelSum, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("db", sums(&maps(given.get("dy")?, k.rows, k.channels)?)?)])
}

/// `x, running_mean, running_var -> mean, rstd`; the running statistics take in the batch's mean and unbiased variance.
pub(super) fn statistics(k: &BnStats, given: &Given<'_>) -> Result<Effects> {
    let (count, momentum) = (k.rows as f64, f64::from(k.momentum));
    let x = maps(given.get("x")?, k.rows, k.channels)?;
    let mean = (sums(&x)? / count)?;
    let squares = sums(&x.broadcast_sub(&per_channel(&mean)?)?.sqr()?)?;
    let rstd = ((&squares / count)? + f64::from(k.eps))?.sqrt()?.recip()?;
    // One row has no unbiased variance: its zero is kept.
    let unbiased = (squares / (count - 1.0).max(1.0))?;
    let blend = |old: &Tensor, new: &Tensor| (old * (1.0 - momentum))? + (new * momentum)?;
    let running_mean = blend(given.get("running_mean")?, &mean)?;
    let running_var = blend(given.get("running_var")?, &unbiased)?;
    Ok(vec![("mean", mean), ("rstd", rstd), ("running_mean", running_mean), ("running_var", running_var)])
}

/// `x -> batch_mean, batch_var`
pub(super) fn moments(k: &BnMoments, given: &Given<'_>) -> Result<Effects> {
    let count = k.rows as f64;
    let x = maps(given.get("x")?, k.rows, k.channels)?;
    let mean = (sums(&x)? / count)?;
    let var = (sums(&x.broadcast_sub(&per_channel(&mean)?)?.sqr()?)? / count)?;
    Ok(vec![("batch_mean", mean), ("batch_var", var)])
}

/// `running_var -> rstd`
pub(super) fn running_rstd(k: &RunningRstd, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("rstd", (given.get("running_var")? + f64::from(k.eps))?.sqrt()?.recip()?)])
}

/// `scale * x + shift`, per channel
fn scaled(x: &Tensor, given: &Given<'_>) -> Result<Tensor> {
    let scaled = x.broadcast_mul(&per_channel(given.get("scale")?)?)?;
    scaled.broadcast_add(&per_channel(given.get("shift")?)?)
}

/// `x, mean, rstd, scale, shift [, residual] -> y`
pub(super) fn apply(k: &BnApply, given: &Given<'_>) -> Result<Effects> {
    let y = scaled(&normalise(&maps(given.get("x")?, k.rows, k.channels)?, given)?, given)?;
    Ok(vec![("y", finish(&y, given.find("residual"), k.epilogue.act)?)])
}

/// `x, scale, shift [, residual] -> y`
pub(super) fn affine(k: &Affine, given: &Given<'_>) -> Result<Effects> {
    let y = scaled(&maps(given.get("x")?, k.rows, k.channels)?, given)?;
    Ok(vec![("y", finish(&y, given.find("residual"), k.epilogue.act)?)])
}

/// Gradient behind the normalisation: `dy`, through the activation where there is one, by its result `y`.
pub(super) fn unactivated(act: Option<Activation>, dy: &Tensor, given: &Given<'_>) -> Result<Tensor> {
    match act {
        Some(act) => activate_backward(act, dy, given.get("y")?),
        None => Ok(dy.clone()),
    }
}

/// The gradient before the activation of a batch normalisation's epilogue, by the activation's result `y`, or by what it
/// was applied to, computed anew with `scale` and `shift`.
fn before_activation(
    [rows, channels]: [usize; 2],
    act: Option<Activation>,
    given: &Given<'_>,
) -> Result<Tensor> {
    let dy = maps(given.get("dy")?, rows, channels)?;
    let (Some(act), Some(shift)) = (act, given.find("shift")) else { return unactivated(act, &dy, given) };
    let mean = per_channel(given.get("mean")?)?;
    let factor = per_channel(&(given.get("rstd")? * given.get("scale")?)?)?;
    let scaled = maps(given.get("x")?, rows, channels)?.broadcast_sub(&mean)?.broadcast_mul(&factor)?;
    activate_backward(act, &dy, &scaled.broadcast_add(&per_channel(shift)?)?)
}

/// `dy, x, mean, rstd [, scale, shift | , y] -> dscale, dshift`: `dscale = sum(g * xhat)`, `dshift = sum(g)`, `g` the gradient before
/// the activation.
pub(super) fn backward_reduce(k: &BnBackwardReduce, given: &Given<'_>) -> Result<Effects> {
    let g = before_activation([k.rows, k.channels], k.epilogue.act, given)?;
    let xhat = normalise(&maps(given.get("x")?, k.rows, k.channels)?, given)?;
    Ok(vec![("dscale", sums(&(&g * xhat)?)?), ("dshift", sums(&g)?)])
}

/// `dy, x, mean, rstd, scale, dscale, dshift [, shift | , y] -> dx [, dresidual]`:
/// `dx = scale * rstd * (g - dshift / rows - xhat * dscale / rows)`, `dresidual = g`.
pub(super) fn backward_apply(k: &BnBackwardApply, given: &Given<'_>) -> Result<Effects> {
    let g = before_activation([k.rows, k.channels], k.epilogue.act, given)?;
    let xhat = normalise(&maps(given.get("x")?, k.rows, k.channels)?, given)?;
    let mean_of = |sum: &str| per_channel(&(given.get(sum)? / k.rows as f64)?);
    let centred = g.broadcast_sub(&mean_of("dshift")?)?;
    let centred = (centred - xhat.broadcast_mul(&mean_of("dscale")?)?)?;
    let factor = per_channel(&(given.get("rstd")? * given.get("scale")?)?)?;
    Ok(vec![("dx", centred.broadcast_mul(&factor)?), ("dresidual", g)])
}
