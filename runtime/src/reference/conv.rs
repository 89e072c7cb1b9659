//! Convolution and its gradients: one matrix product each over unfolded windows.
//!
//! With `W [g, cout/g, cin/g * taps]`, `X = unfold(x) [g, cin/g * taps, windows]` and `Y [g, cout/g, windows]`:
//! `Y = W X`, `dX = W^T dY`, `dW = dY X^T`.

use candle_core::{Result, Tensor};
use resnetc_compiler::plan::ConvGeometry;
use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};

use super::effects::{Effects, Given};
use super::memory::rounded;
use super::pointwise::finish;
use super::windows::Windows;

fn windows(g: &ConvGeometry) -> Windows {
    Windows {
        images: g.n,
        channels: g.cin,
        size: [g.h, g.w],
        out: g.out,
        kernel: g.attrs.kernel,
        stride: g.attrs.stride,
        padding: g.attrs.padding,
        dilation: g.attrs.dilation,
    }
}

/// `[n, cin, h, w] -> [g, cin/g * taps, windows]`
fn columns(g: &ConvGeometry, x: &Tensor) -> Result<Tensor> {
    let windows = windows(g);
    let depth = g.cin / g.attrs.groups * windows.taps();
    windows.unfold(x, 0.0)?.reshape((g.attrs.groups, depth, windows.count()))
}

/// `[cout, cin/g, kh, kw] -> [g, cout/g, cin/g * taps]`
fn matrix(g: &ConvGeometry, weight: &Tensor) -> Result<Tensor> {
    let depth = g.cin / g.attrs.groups * windows(g).taps();
    weight.reshape((g.attrs.groups, g.cout / g.attrs.groups, depth))
}

/// `[n, cout, out, out] -> [g, cout/g, windows]`
fn results(g: &ConvGeometry, y: &Tensor) -> Result<Tensor> {
    let y = y.reshape((g.n, g.cout, g.out[0] * g.out[1]))?.transpose(0, 1)?.contiguous()?;
    y.reshape((g.attrs.groups, g.cout / g.attrs.groups, windows(g).count()))
}

/// A factor as the kernel multiplies it: rounded, but held in the device's own precision.
fn factor(g: &ConvGeometry, tensor: &Tensor) -> Result<Tensor> {
    rounded(tensor, g.precision)
}

/// `x, weight [, bias] [, residual] -> y`
pub(super) fn forward(k: &Conv, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let (x, weight) = (factor(g, given.get("x")?)?, factor(g, given.get("weight")?)?);
    let y = matrix(g, &weight)?.matmul(&columns(g, &x)?)?;
    let y = y.reshape((g.cout, g.n, g.out[0], g.out[1]))?.transpose(0, 1)?.contiguous()?;
    let y = match given.find("bias") {
        Some(bias) => y.broadcast_add(&bias.reshape((1, g.cout, 1, 1))?)?,
        None => y,
    };
    Ok(vec![("y", finish(&y, given.find("residual"), k.epilogue.act)?)])
}

/// `dy, weight [, residual] -> dx`
pub(super) fn backward_data(k: &ConvBackwardData, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let windows = windows(g);
    let weight = matrix(g, &factor(g, given.get("weight")?)?)?.transpose(1, 2)?.contiguous()?;
    let columns = weight.matmul(&results(g, &factor(g, given.get("dy")?)?)?)?;
    let dx = windows.fold(&columns.reshape((g.cin, windows.taps(), windows.count()))?)?;
    Ok(vec![("dx", finish(&dx, given.find("residual"), None)?)])
}

/// `x, dy -> dweight`
pub(super) fn backward_filter(k: &ConvBackwardFilter, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let columns = columns(g, &factor(g, given.get("x")?)?)?.transpose(1, 2)?.contiguous()?;
    Ok(vec![("dweight", results(g, &factor(g, given.get("dy")?)?)?.matmul(&columns)?)])
}
