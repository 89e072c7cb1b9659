//! Batch normalisation (Ioffe and Szegedy 2015) and per-channel sums. Statistics in two passes: first the mean, then
//! the mean square of the differences from it.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::{Activation, Epilogue};

use super::effects::Effects;
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
fn normalise(x: &Tensor, mean: &Tensor, rstd: &Tensor) -> Result<Tensor> {
    x.broadcast_sub(&per_channel(mean)?)?.broadcast_mul(&per_channel(rstd)?)
}

/// `dy -> db`
pub(super) fn channel_sum(rows: usize, channels: usize, inputs: &[Tensor]) -> Result<Effects> {
    Ok(sums(&maps(&inputs[0], rows, channels)?)?.into())
}

/// `x, running_mean, running_var -> mean, rstd`; the running statistics take in the batch's mean and unbiased variance.
pub(super) fn statistics(
    rows: usize,
    channels: usize,
    eps: f32,
    momentum: f32,
    inputs: &[Tensor],
) -> Result<Effects> {
    let (x, count, momentum) = (maps(&inputs[0], rows, channels)?, rows as f64, f64::from(momentum));
    let mean = (sums(&x)? / count)?;
    let squares = sums(&x.broadcast_sub(&per_channel(&mean)?)?.sqr()?)?;
    let rstd = ((&squares / count)? + f64::from(eps))?.sqrt()?.recip()?;
    // One row has no unbiased variance: its zero is kept.
    let unbiased = (squares / (count - 1.0).max(1.0))?;
    let blend = |old: &Tensor, new: &Tensor| (old * (1.0 - momentum))? + (new * momentum)?;
    let updates = vec![(1, blend(&inputs[1], &mean)?), (2, blend(&inputs[2], &unbiased)?)];
    Ok(Effects { outputs: vec![mean, rstd], updates })
}

/// `x, mean, rstd, scale, shift [, residual] -> y`
pub(super) fn apply(rows: usize, channels: usize, epilogue: Epilogue, inputs: &[Tensor]) -> Result<Effects> {
    let xhat = normalise(&maps(&inputs[0], rows, channels)?, &inputs[1], &inputs[2])?;
    let y = xhat.broadcast_mul(&per_channel(&inputs[3])?)?.broadcast_add(&per_channel(&inputs[4])?)?;
    Ok(finish(&y, epilogue, inputs.last())?.into())
}

/// `x, scale, shift [, residual] -> y`
pub(super) fn affine(rows: usize, channels: usize, epilogue: Epilogue, inputs: &[Tensor]) -> Result<Effects> {
    let y = maps(&inputs[0], rows, channels)?.broadcast_mul(&per_channel(&inputs[1])?)?;
    let y = y.broadcast_add(&per_channel(&inputs[2])?)?;
    Ok(finish(&y, epilogue, inputs.last())?.into())
}

/// Gradient behind the normalisation: `dy`, through the activation where there is one (its result is the last operand).
pub(super) fn unactivated(act: Option<Activation>, dy: &Tensor, inputs: &[Tensor]) -> Result<Tensor> {
    match (act, inputs.last()) {
        (Some(act), Some(y)) => activate_backward(act, dy, y),
        (Some(_) | None, _) => Ok(dy.clone()),
    }
}

/// The gradient before the activation of a batch normalisation's epilogue, by its last operand: the result, or the shift,
/// with which what the activation was applied to is computed anew.
fn before_activation(
    [rows, channels]: [usize; 2],
    epilogue: Epilogue,
    scale: Option<&Tensor>,
    inputs: &[Tensor],
) -> Result<Tensor> {
    let dy = maps(&inputs[0], rows, channels)?;
    match (epilogue.act, scale, inputs.last()) {
        (Some(act), Some(scale), Some(shift)) if epilogue.recomputes_sign() => {
            let x = maps(&inputs[1], rows, channels)?.broadcast_sub(&per_channel(&inputs[2])?)?;
            let scaled = x.broadcast_mul(&per_channel(&(&inputs[3] * scale)?)?)?;
            activate_backward(act, &dy, &scaled.broadcast_add(&per_channel(shift)?)?)
        }
        (act, _, _) => unactivated(act, &dy, inputs),
    }
}

/// `dy, x, mean, rstd [, scale, shift | , y] -> dscale, dshift`: `dscale = sum(g * xhat)`, `dshift = sum(g)`, `g` the gradient before
/// the activation.
pub(super) fn backward_reduce(
    rows: usize,
    channels: usize,
    epilogue: Epilogue,
    inputs: &[Tensor],
) -> Result<Effects> {
    let g = before_activation([rows, channels], epilogue, inputs.get(4), inputs)?;
    let xhat = normalise(&maps(&inputs[1], rows, channels)?, &inputs[2], &inputs[3])?;
    Ok(vec![sums(&(&g * xhat)?)?, sums(&g)?].into())
}

/// `dy, x, mean, rstd, scale, dscale, dshift [, shift | , y] -> dx [, dresidual]`:
/// `dx = scale * rstd * (g - dshift / rows - xhat * dscale / rows)`, `dresidual = g`.
pub(super) fn backward_apply(
    rows: usize,
    channels: usize,
    epilogue: Epilogue,
    inputs: &[Tensor],
) -> Result<Effects> {
    let g = before_activation([rows, channels], epilogue, Some(&inputs[4]), inputs)?;
    let xhat = normalise(&maps(&inputs[1], rows, channels)?, &inputs[2], &inputs[3])?;
    let mean_of = |sum: &Tensor| per_channel(&(sum / rows as f64)?);
    let centred = g.broadcast_sub(&mean_of(&inputs[6])?)?;
    let centred = (centred - xhat.broadcast_mul(&mean_of(&inputs[5])?)?)?;
    let dx = centred.broadcast_mul(&per_channel(&(&inputs[3] * &inputs[4])?)?)?;
    Ok(if epilogue.residual { vec![dx, g] } else { vec![dx] }.into())
}
