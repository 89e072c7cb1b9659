//! Elementwise kernels, channels put together and taken apart, and option A's shortcut.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::ir::op::Activation;
use resnetc_compiler::plan::PadGeometry;
use resnetc_compiler::plan::kernel::{
    Activate, ActivateBackward, Add, ChannelSlice, Concat, Drop, PadShortcut, PadShortcutBackward, ScaleShift,
};

use super::effects::{Effects, Given};
use crate::random::{Key, factors};

/// `act(x)`
fn activate(act: Activation, x: &Tensor) -> Result<Tensor> {
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

/// `act(y + residual)`
pub(super) fn finish(y: &Tensor, residual: Option<&Tensor>, act: Option<Activation>) -> Result<Tensor> {
    let y = match residual {
        Some(residual) => (y + residual.reshape(y.shape())?)?,
        None => y.clone(),
    };
    match act {
        Some(act) => activate(act, &y),
        None => Ok(y),
    }
}

/// `x -> act(x)`
pub(super) fn activation(k: &Activate, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("y", activate(k.act, given.get("x")?)?)])
}

/// `dy, saved -> dx`
pub(super) fn activation_backward(k: &ActivateBackward, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("dx", activate_backward(k.act, given.get("dy")?, given.get("saved")?)?)])
}

/// `a, b -> act(a + b)`
pub(super) fn add(k: &Add, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("y", finish(given.get("a")?, Some(given.get("b")?), k.act)?)])
}

/// `x -> scale * x + shift`
pub(super) fn scale_shift(k: &ScaleShift, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("y", given.get("x")?.affine(f64::from(k.scale), f64::from(k.shift))?)])
}

/// A map as `[images, channels, pixels]`.
fn pixels(x: &Tensor, rows: usize, channels: usize) -> Result<Tensor> {
    let images = x.dim(0)?;
    x.reshape((images, channels, rows / images))
}

/// `part [n, c0, h, w], part [n, c1, h, w], ... -> y [n, c0 + c1 + ..., h, w]`
pub(super) fn concat(k: &Concat, given: &Given<'_>) -> Result<Effects> {
    let parts = given.all("part").zip(&k.channels).map(|(part, &c)| pixels(part, k.rows, c));
    Ok(vec![("y", Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?)])
}

/// `x [n, c, h, w] -> y [n, taken, h, w]`
pub(super) fn channel_slice(k: &ChannelSlice, given: &Given<'_>) -> Result<Effects> {
    let x = pixels(given.get("x")?, k.rows, k.channels)?;
    Ok(vec![("y", x.narrow(1, k.start, k.taken)?.contiguous()?)])
}

/// `x, seed, step -> x * factors`; the factors come in the order `[n][h][w][c]`.
pub(super) fn drop(k: &Drop, given: &Given<'_>) -> Result<Effects> {
    let (g, x) = (&k.geometry, given.get("x")?);
    let key = Key::new(given.whole("seed")?, given.whole("step")?, k.stream);
    let factors = factors(g, k.part, k.rate, key);
    let factors = Tensor::from_vec(factors, (g.n, g.h, g.w, g.c), x.device())?;
    let factors = factors.permute((0, 3, 1, 2))?.contiguous()?.reshape(x.shape())?;
    Ok(vec![("y", (x * factors.to_dtype(x.dtype())?)?)])
}

/// Pixels that option A's shortcut takes along one axis.
fn taken(g: &PadGeometry, axis: usize, like: &Tensor) -> Result<Tensor> {
    let at: Vec<u32> = (0..g.out[axis]).map(|i| (i * g.stride[axis]) as u32).collect();
    Tensor::from_vec(at, g.out[axis], like.device())
}

/// `x [n, cin, h, w] -> y [n, cout, out, out]`
pub(super) fn pad_shortcut(k: &PadShortcut, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let x = given.get("x")?.reshape((g.n, g.cin, g.h, g.w))?;
    let x = x.index_select(&taken(g, 0, &x)?, 2)?.index_select(&taken(g, 1, &x)?, 3)?;
    Ok(vec![("y", x.pad_with_zeros(1, g.before, g.cout - g.cin - g.before)?)])
}

/// `dy [n, cout, out, out] -> dx [n, cin, h, w]`
pub(super) fn pad_shortcut_backward(k: &PadShortcutBackward, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let dy = given.get("dy")?.reshape((g.n, g.cout, g.out[0], g.out[1]))?;
    let dy = dy.narrow(1, g.before, g.cin)?.contiguous()?;
    let rows = Tensor::zeros((g.n, g.cin, g.out[0], g.w), dy.dtype(), dy.device())?;
    let rows = rows.index_add(&taken(g, 1, &dy)?, &dy, 3)?;
    let dx = Tensor::zeros((g.n, g.cin, g.h, g.w), dy.dtype(), dy.device())?;
    Ok(vec![("dx", dx.index_add(&taken(g, 0, &dy)?, &rows, 2)?)])
}
