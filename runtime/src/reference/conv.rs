//! Convolution and its gradients: one matrix product each over unfolded windows.
//!
//! With `W [g, cout/g, cin/g * taps]`, `X = unfold(x) [g, cin/g * taps, windows]` and `Y [g, cout/g, windows]`:
//! `Y = W X`, `dX = W^T dY`, `dW = dY X^T`.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::Epilogue;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::ConvGeometry;

use super::effects::Effects;
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
    match g.precision {
        DType::Bf16 => rounded(tensor),
        _ => Ok(tensor.clone()),
    }
}

/// `x, weight [, bias] [, residual] -> y`
pub(super) fn forward(
    g: &ConvGeometry,
    bias: bool,
    epilogue: Epilogue,
    inputs: &[Tensor],
) -> Result<Effects> {
    let y = matrix(g, &factor(g, &inputs[1])?)?.matmul(&columns(g, &factor(g, &inputs[0])?)?)?;
    let y = y.reshape((g.cout, g.n, g.out[0], g.out[1]))?.transpose(0, 1)?.contiguous()?;
    let y = if bias { y.broadcast_add(&inputs[2].reshape((1, g.cout, 1, 1))?)? } else { y };
    Ok(finish(&y, epilogue, inputs.last())?.into())
}

/// `dy, weight [, residual] -> dx`
pub(super) fn backward_data(g: &ConvGeometry, residual: bool, inputs: &[Tensor]) -> Result<Effects> {
    let windows = windows(g);
    let weight = matrix(g, &factor(g, &inputs[1])?)?.transpose(1, 2)?.contiguous()?;
    let columns = weight.matmul(&results(g, &factor(g, &inputs[0])?)?)?;
    let dx = windows.fold(&columns.reshape((g.cin, windows.taps(), windows.count()))?)?;
    Ok(finish(&dx, Epilogue { residual, act: None }, inputs.last())?.into())
}

/// `x, dy -> dweight`
pub(super) fn backward_filter(g: &ConvGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let columns = columns(g, &factor(g, &inputs[0])?)?.transpose(1, 2)?.contiguous()?;
    Ok(results(g, &factor(g, &inputs[1])?)?.matmul(&columns)?.into())
}
