//! Products of maps and with gates, and their gradients.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::Epilogue;

use super::effects::Effects;
use super::pointwise::{activate_backward, finish};

/// A factor as `[images, channels, pixels]`; a gate has one pixel.
fn factor([images, channels, pixels]: [usize; 3], gate: bool, x: &Tensor) -> Result<Tensor> {
    x.reshape((images, channels, if gate { 1 } else { pixels }))
}

/// `a, b [, residual] -> act(a * b + residual)`
pub(super) fn mul(size: [usize; 3], gate: bool, epilogue: Epilogue, inputs: &[Tensor]) -> Result<Effects> {
    let y = factor(size, false, &inputs[0])?.broadcast_mul(&factor(size, gate, &inputs[1])?)?;
    Ok(finish(&y, epilogue, inputs.last())?.into())
}

/// `dy, a, b [, y] -> da, db [, dresidual]`
pub(super) fn mul_backward(
    size: [usize; 3],
    gate: bool,
    epilogue: Epilogue,
    inputs: &[Tensor],
) -> Result<Effects> {
    let (dy, a) = (factor(size, false, &inputs[0])?, factor(size, false, &inputs[1])?);
    let dy = match (epilogue.act, inputs.get(3)) {
        (Some(act), Some(y)) => activate_backward(act, &dy, y)?,
        (Some(_) | None, _) => dy,
    };
    let db = (&dy * a)?;
    let db = if gate { db.sum_keepdim(2)? } else { db };
    let mut gradients = vec![dy.broadcast_mul(&factor(size, gate, &inputs[2])?)?, db];
    gradients.extend(epilogue.residual.then_some(dy));
    Ok(gradients.into())
}
