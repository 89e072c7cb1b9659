//! Pooling and its gradients, over unfolded windows.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::plan::PoolGeometry;

use super::effects::Effects;
use super::windows::Windows;

fn windows(g: &PoolGeometry) -> Windows {
    Windows {
        images: g.n,
        channels: g.c,
        size: [g.h, g.w],
        out: g.out,
        kernel: g.attrs.kernel,
        stride: g.attrs.stride,
        padding: g.attrs.padding,
        dilation: [1, 1],
    }
}

/// `[c, windows] -> [n, c, out, out]`
fn to_map(g: &PoolGeometry, y: &Tensor) -> Result<Tensor> {
    y.reshape((g.c, g.n, g.out[0], g.out[1]))?.transpose(0, 1)?.contiguous()
}

/// `[n, c, out, out] -> [c, 1, windows]`
fn from_map(g: &PoolGeometry, y: &Tensor) -> Result<Tensor> {
    let y = y.reshape((g.n, g.c, g.out[0] * g.out[1]))?.transpose(0, 1)?.contiguous()?;
    y.reshape((g.c, 1, windows(g).count()))
}

/// `x -> y [, positions]`; the first of equal maxima counts, and the border is never one.
pub(super) fn max(g: &PoolGeometry, positions: bool, inputs: &[Tensor]) -> Result<Effects> {
    let columns = windows(g).unfold(&inputs[0], f64::NEG_INFINITY)?;
    let largest = columns.max_keepdim(1)?;
    let y = to_map(g, &largest)?;
    if !positions {
        return Ok(y.into());
    }
    let pixels = windows(g).unfold(&inputs[0].ones_like()?, 0.0)?;
    let maxima = columns.broadcast_eq(&largest)?.to_dtype(pixels.dtype())?;
    Ok(vec![y, to_map(g, &(maxima * pixels)?.argmax(1)?)?].into())
}

/// `dy, positions -> dx`: each gradient goes to the pixel that was the maximum.
pub(super) fn max_backward(g: &PoolGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let windows = windows(g);
    let dy = from_map(g, &inputs[0])?;
    let positions = from_map(g, &inputs[1].to_dtype(DType::U32)?)?;
    let taps = Tensor::arange(0, windows.taps() as u32, dy.device())?.reshape((1, windows.taps(), 1))?;
    let chosen = positions.broadcast_eq(&taps)?.to_dtype(dy.dtype())?;
    Ok(windows.fold(&chosen.broadcast_mul(&dy)?)?.into())
}

/// What each window's sum is divided by, `[1, windows]`: its pixels in the image or, where the padding counts, in the
/// image with its padding (never beyond, where `ceil` adds an incomplete window), as PyTorch counts.
fn divisors(g: &PoolGeometry, like: &Tensor) -> Result<Tensor> {
    let along = |axis: usize, size: usize| -> Vec<usize> {
        let (pad, border) =
            (g.attrs.padding[axis], if g.attrs.count_padding { g.attrs.padding[axis] } else { 0 });
        let inside = (pad - border)..(pad + size + border);
        let start = |i: usize| i * g.attrs.stride[axis];
        let covered =
            |from: usize| (from..from + g.attrs.kernel[axis]).filter(|p| inside.contains(p)).count();
        (0..g.out[axis]).map(|i| covered(start(i))).collect()
    };
    let (rows, columns) = (along(0, g.h), along(1, g.w));
    let image = rows.iter().flat_map(|r| columns.iter().map(move |c| (r * c) as f64));
    let divisors: Vec<f64> = image.collect::<Vec<_>>().repeat(g.n);
    let count = divisors.len();
    Tensor::from_vec(divisors, (1, count), like.device())?.to_dtype(like.dtype())
}

/// `x -> y`
pub(super) fn avg(g: &PoolGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let sums = windows(g).unfold(&inputs[0], 0.0)?.sum(1)?;
    Ok(to_map(g, &sums.broadcast_div(&divisors(g, &sums)?)?)?.into())
}

/// `dy -> dx`
pub(super) fn avg_backward(g: &PoolGeometry, inputs: &[Tensor]) -> Result<Effects> {
    let windows = windows(g);
    let dy = from_map(g, &inputs[0])?;
    let share = dy.broadcast_div(&divisors(g, &dy)?.unsqueeze(0)?)?;
    let columns = share.broadcast_as((g.c, windows.taps(), windows.count()))?.contiguous()?;
    Ok(windows.fold(&columns)?.into())
}

/// `x [n, c, h, w] -> y [n, c, 1, 1]`
pub(super) fn global_avg(
    images: usize,
    pixels: usize,
    channels: usize,
    inputs: &[Tensor],
) -> Result<Effects> {
    Ok((inputs[0].reshape((images, channels, pixels))?.sum(2)? / pixels as f64)?.into())
}

/// `dy [n, c, 1, 1] -> dx [n, c, h, w]`
pub(super) fn global_avg_backward(
    images: usize,
    pixels: usize,
    channels: usize,
    inputs: &[Tensor],
) -> Result<Effects> {
    let share = (inputs[0].reshape((images, channels, 1))? / pixels as f64)?;
    Ok(share.broadcast_as((images, channels, pixels))?.contiguous()?.into())
}

/// `x [n, c, h, w] -> y [n, c, 1, 1] [, positions]`; the first of equal maxima counts.
pub(super) fn global_max(
    images: usize,
    pixels: usize,
    channels: usize,
    positions: bool,
    inputs: &[Tensor],
) -> Result<Effects> {
    let x = inputs[0].reshape((images, channels, pixels))?;
    let y = x.max(2)?;
    Ok(if positions { vec![y, x.argmax(2)?] } else { vec![y] }.into())
}

/// `dy [n, c, 1, 1], positions -> dx [n, c, h, w]`
pub(super) fn global_max_backward(
    images: usize,
    pixels: usize,
    channels: usize,
    inputs: &[Tensor],
) -> Result<Effects> {
    let dy = inputs[0].reshape((images, channels, 1))?;
    let positions = inputs[1].to_dtype(DType::U32)?.reshape((images, channels, 1))?;
    let all = Tensor::arange(0, pixels as u32, dy.device())?.reshape((1, 1, pixels))?;
    Ok(positions.broadcast_eq(&all)?.to_dtype(dy.dtype())?.broadcast_mul(&dy)?.into())
}
