//! Blurred downsampling: a matrix per axis, applied from both sides, `Y = V X H^T`.

use candle_core::{Result, Tensor};
use resnetc_compiler::plan::BlurGeometry;
use resnetc_compiler::plan::kernel::{BlurPool, BlurPoolBackward};

use super::effects::{Effects, Given};

/// The blur along one axis as a matrix `[out, size]`: rows hold the taps 1/4, 1/2, 1/4, mirrored at the border.
fn matrix(g: &BlurGeometry, axis: usize, like: &Tensor) -> Result<Tensor> {
    let (size, out) = ([g.h, g.w][axis], g.out[axis]);
    let mut rows = vec![0.0f64; out * size];
    for o in 0..out {
        let centre = o * g.stride[axis];
        let before = if centre == 0 { 1 } else { centre - 1 };
        let behind = if centre + 1 == size { size - 2 } else { centre + 1 };
        for (at, weight) in [(before, 0.25), (centre, 0.5), (behind, 0.25)] {
            rows[o * size + at] += weight;
        }
    }
    Tensor::from_vec(rows, (out, size), like.device())?.to_dtype(like.dtype())
}

/// `left x right^T` for every image and channel of `x [n, c, rows, columns]`.
fn both_sides(left: &Tensor, x: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.broadcast_matmul(x)?.broadcast_matmul(&right.t()?)
}

/// `x [n, c, h, w] -> y [n, c, out, out]`
pub(super) fn forward(k: &BlurPool, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let x = given.get("x")?.reshape((g.n, g.c, g.h, g.w))?;
    Ok(vec![("y", both_sides(&matrix(g, 0, &x)?, &x, &matrix(g, 1, &x)?)?)])
}

/// `dy [n, c, out, out] -> dx [n, c, h, w]`
pub(super) fn backward(k: &BlurPoolBackward, given: &Given<'_>) -> Result<Effects> {
    let g = &k.geometry;
    let dy = given.get("dy")?.reshape((g.n, g.c, g.out[0], g.out[1]))?;
    let (vertical, horizontal) = (matrix(g, 0, &dy)?.t()?, matrix(g, 1, &dy)?.t()?);
    Ok(vec![("dx", both_sides(&vertical, &dy, &horizontal)?)])
}
