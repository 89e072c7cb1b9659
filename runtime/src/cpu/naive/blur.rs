//! Blurred downsampling, tap by tap.

use resnetc_compiler::plan::BlurGeometry;

/// The pixel that a tap one before, at or one behind `centre` falls on, mirrored at the border.
fn mirrored(size: usize, centre: usize, tap: usize) -> usize {
    match (centre + tap).checked_sub(1) {
        None => 1,
        Some(at) if at == size => size - 2,
        Some(at) => at,
    }
}

/// Every `(output element, input element, weight)` of the blur.
fn terms(g: &BlurGeometry) -> impl Iterator<Item = (usize, usize, f64)> + use<'_> {
    let taps = [0.25, 0.5, 0.25];
    (0..g.n * g.out[0] * g.out[1] * g.c * 9).map(move |i| {
        let (out, ty, tx) = (i / 9, i % 9 / 3, i % 3);
        let (pixel, channel) = (out / g.c, out % g.c);
        let (image, oy, ox) = (pixel / (g.out[0] * g.out[1]), pixel / g.out[1] % g.out[0], pixel % g.out[1]);
        let (iy, ix) = (mirrored(g.h, oy * g.stride[0], ty), mirrored(g.w, ox * g.stride[1], tx));
        (out, ((image * g.h + iy) * g.w + ix) * g.c + channel, taps[ty] * taps[tx])
    })
}

/// `x [n, h, w, c] -> [n, out, out, c]`
pub fn blur_pool(g: &BlurGeometry, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; g.n * g.out[0] * g.out[1] * g.c];
    terms(g).for_each(|(out, input, weight)| y[out] += weight * x[input]);
    y
}

/// `dy [n, out, out, c] -> [n, h, w, c]`
pub fn blur_pool_backward(g: &BlurGeometry, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.n * g.h * g.w * g.c];
    terms(g).for_each(|(out, input, weight)| dx[input] += weight * dy[out]);
    dx
}
