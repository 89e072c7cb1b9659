//! Pooling and its gradients, over unfolded windows.

use candle_core::{DType, Result, Tensor};
use resnetc_compiler::plan::PoolGeometry;
use resnetc_compiler::plan::kernel::{
    AvgPool, AvgPoolBackward, GlobalAvgPool, GlobalAvgPoolBackward, GlobalMaxPool, GlobalMaxPoolBackward,
    MaxPool, MaxPoolBackward,
};

use super::effects::{Effects, Given};
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
pub(super) fn max(k: &MaxPool, given: &Given<'_>) -> Result<Effects> {
    let (g, x) = (&k.geometry, given.get("x")?);
    let columns = windows(g).unfold(x, f64::NEG_INFINITY)?;
    let largest = columns.max_keepdim(1)?;
    let mut made = vec![("y", to_map(g, &largest)?)];
    if given.wants("positions") {
        let pixels = windows(g).unfold(&x.ones_like()?, 0.0)?;
        let maxima = columns.broadcast_eq(&largest)?.to_dtype(pixels.dtype())?;
        made.push(("positions", to_map(g, &(maxima * pixels)?.argmax(1)?)?));
    }
    Ok(made)
}

/// `dy, positions -> dx`: each gradient goes to the pixel that was the maximum.
pub(super) fn max_backward(k: &MaxPoolBackward, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let windows = windows(g);
    let dy = from_map(g, given.get("dy")?)?;
    let positions = from_map(g, &given.get("positions")?.to_dtype(DType::U32)?)?;
    let taps = Tensor::arange(0, windows.taps() as u32, dy.device())?.reshape((1, windows.taps(), 1))?;
    let chosen = positions.broadcast_eq(&taps)?.to_dtype(dy.dtype())?;
    Ok(vec![("dx", windows.fold(&chosen.broadcast_mul(&dy)?)?)])
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
pub(super) fn avg(k: &AvgPool, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let sums = windows(g).unfold(given.get("x")?, 0.0)?.sum(1)?;
    Ok(vec![("y", to_map(g, &sums.broadcast_div(&divisors(g, &sums)?)?)?)])
}

/// `dy -> dx`
pub(super) fn avg_backward(k: &AvgPoolBackward, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let windows = windows(g);
    let dy = from_map(g, given.get("dy")?)?;
    let share = dy.broadcast_div(&divisors(g, &dy)?.unsqueeze(0)?)?;
    let columns = share.broadcast_as((g.c, windows.taps(), windows.count()))?.contiguous()?;
    Ok(vec![("dx", windows.fold(&columns)?)])
}

/// `x [n, c, h, w] -> y [n, c, 1, 1]`
pub(super) fn global_avg(k: &GlobalAvgPool, given: &Given<'_>) -> Result<Effects> {
    let x = given.get("x")?.reshape((k.images, k.channels, k.pixels))?;
    Ok(vec![("y", (x.sum(2)? / k.pixels as f64)?)])
}

/// `dy [n, c, 1, 1] -> dx [n, c, h, w]`
pub(super) fn global_avg_backward(k: &GlobalAvgPoolBackward, given: &Given<'_>) -> Result<Effects> {
    let share = (given.get("dy")?.reshape((k.images, k.channels, 1))? / k.pixels as f64)?;
    Ok(vec![("dx", share.broadcast_as((k.images, k.channels, k.pixels))?.contiguous()?)])
}

/// `x [n, c, h, w] -> y [n, c, 1, 1] [, positions]`; the first of equal maxima counts.
pub(super) fn global_max(k: &GlobalMaxPool, given: &Given<'_>) -> Result<Effects> {
    let x = given.get("x")?.reshape((k.images, k.channels, k.pixels))?;
    let mut made = vec![("y", x.max(2)?)];
    if given.wants("positions") {
        made.push(("positions", x.argmax(2)?));
    }
    Ok(made)
}

/// `dy [n, c, 1, 1], positions -> dx [n, c, h, w]`
pub(super) fn global_max_backward(k: &GlobalMaxPoolBackward, given: &Given<'_>) -> Result<Effects> {
    let dy = given.get("dy")?.reshape((k.images, k.channels, 1))?;
    let positions = given.get("positions")?.to_dtype(DType::U32)?.reshape((k.images, k.channels, 1))?;
    let all = Tensor::arange(0, k.pixels as u32, dy.device())?.reshape((1, 1, k.pixels))?;
    Ok(vec![("dx", positions.broadcast_eq(&all)?.to_dtype(dy.dtype())?.broadcast_mul(&dy)?)])
}
