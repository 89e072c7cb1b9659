//! Elementwise kernels, channels put together and taken apart, and option A's shortcut.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::plan::{DropGeometry, PadGeometry};

use super::effects::Effects;

/// `act(x)`
pub(super) fn activate(act: Activation, x: &Tensor) -> Result<Tensor> {
    each(x, |x| act.apply(x))
}

/// `dy * act'(x)`, by the result `y = act(x)` or by `y = x` itself: [`Activation::grad_from`] says which.
pub(super) fn activate_backward(act: Activation, dy: &Tensor, y: &Tensor) -> Result<Tensor> {
    dy * each(&y.reshape(dy.shape())?, |y| act.derivative(y))?
}

/// A function of every element, in double precision.
fn each(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let values = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let values = values.into_iter().map(f).collect();
    Tensor::from_vec(values, x.shape(), x.device())?.to_dtype(x.dtype())
}

/// `act(y + residual)`, the residual being the last operand where the epilogue has one.
pub(super) fn finish(y: &Tensor, epilogue: Epilogue, last: Option<&Tensor>) -> Result<Tensor> {
    let y = match last.filter(|_| epilogue.residual) {
        Some(residual) => (y + residual.reshape(y.shape())?)?,
        None => y.clone(),
    };
    match epilogue.act {
        Some(act) => activate(act, &y),
        None => Ok(y),
    }
}

/// `a, b -> act(a + b)`
pub(super) fn add(act: Option<Activation>, inputs: &[Tensor]) -> Result<Effects> {
    Ok(finish(&inputs[0], Epilogue { residual: true, act }, inputs.get(1))?.into())
}

/// A map as `[images, channels, pixels]`.
fn pixels(x: &Tensor, rows: usize, channels: usize) -> Result<Tensor> {
    let images = x.dim(0)?;
    x.reshape((images, channels, rows / images))
}

/// `x0 [n, c0, h, w], x1 [n, c1, h, w], ... -> y [n, c0 + c1 + ..., h, w]`
pub(super) fn concat(rows: usize, channels: &[usize], inputs: &[Tensor]) -> Result<Effects> {
    let parts: Result<Vec<Tensor>> = inputs.iter().zip(channels).map(|(x, &c)| pixels(x, rows, c)).collect();
    Ok(Tensor::cat(&parts?, 1)?.into())
}

/// `x [n, c, h, w] -> y [n, taken, h, w]`
pub(super) fn channel_slice(
    rows: usize,
    channels: usize,
    start: usize,
    taken: usize,
    inputs: &[Tensor],
) -> Result<Effects> {
    Ok(pixels(&inputs[0], rows, channels)?.narrow(1, start, taken)?.contiguous()?.into())
}

/// `x -> x * factors`; the factors come in the order `[n][h][w][c]`.
pub(super) fn drop(g: &DropGeometry, factors: &[f64], inputs: &[Tensor]) -> Result<Effects> {
    let x = &inputs[0];
    let factors = Tensor::from_slice(factors, (g.n, g.h, g.w, g.c), x.device())?;
    let factors = factors.permute((0, 3, 1, 2))?.contiguous()?.reshape(x.shape())?;
    Ok((x * factors.to_dtype(x.dtype())?)?.into())
}

/// Pixels that option A's shortcut takes along one axis.
fn taken(g: &PadGeometry, axis: usize, like: &Tensor) -> Result<Tensor> {
    let at: Vec<u32> = (0..g.out[axis]).map(|i| (i * g.stride[axis]) as u32).collect();
    Tensor::from_vec(at, g.out[axis], like.device())
}

/// `x [n, cin, h, w] -> y [n, cout, out, out]`
pub(super) fn pad_shortcut(g: &PadGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let x = inputs[0].reshape((g.n, g.cin, g.h, g.w))?;
    let x = x.index_select(&taken(g, 0, &x)?, 2)?.index_select(&taken(g, 1, &x)?, 3)?;
    Ok(x.pad_with_zeros(1, g.before, g.cout - g.cin - g.before)?.into())
}

/// `dy [n, cout, out, out] -> dx [n, cin, h, w]`
pub(super) fn pad_shortcut_backward(g: &PadGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let dy = inputs[0].reshape((g.n, g.cout, g.out[0], g.out[1]))?;
    let dy = dy.narrow(1, g.before, g.cin)?.contiguous()?;
    let rows = Tensor::zeros((g.n, g.cin, g.out[0], g.w), dy.dtype(), dy.device())?;
    let rows = rows.index_add(&taken(g, 1, &dy)?, &dy, 3)?;
    let dx = Tensor::zeros((g.n, g.cin, g.h, g.w), dy.dtype(), dy.device())?;
    Ok(dx.index_add(&taken(g, 0, &dy)?, &rows, 2)?.into())
}
