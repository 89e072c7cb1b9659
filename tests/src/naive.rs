//! Forward kernels by their definition, in loops over every index, to hold the oracle itself against.

use resnetc_compiler::plan::{ConvGeometry, PoolGeometry};

use crate::operands::stored;

/// Index in the image of a window's tap along one axis; `None` in the border.
pub(crate) fn source(
    at: usize,
    stride: usize,
    tap: usize,
    dilation: usize,
    padding: usize,
    size: usize,
) -> Option<usize> {
    (at * stride + tap * dilation).checked_sub(padding).filter(|&p| p < size)
}

/// Cross-correlation: `x [n, cin, h, w]`, `weight [cout, cin / groups, kh, kw]` to `[n, cout, out, out]`.
pub fn conv(g: &ConvGeometry, x: &[f32], weight: &[f32]) -> Vec<f64> {
    let a = &g.attrs;
    let (depth, width) = (g.cin / a.groups, g.cout / a.groups);
    let factor = |number: f32| f64::from(stored(g.precision, number));
    let mut y = Vec::with_capacity(g.n * g.cout * g.out[0] * g.out[1]);
    for index in 0..g.n * g.cout * g.out[0] * g.out[1] {
        let (oy, ox) = (index / g.out[1] % g.out[0], index % g.out[1]);
        let (image, o) = (index / (g.cout * g.out[0] * g.out[1]), index / (g.out[0] * g.out[1]) % g.cout);
        let mut sum = 0.0;
        for i in 0..depth {
            for ky in 0..a.kernel[0] {
                for kx in 0..a.kernel[1] {
                    let row = source(oy, a.stride[0], ky, a.dilation[0], a.padding[0], g.h);
                    let column = source(ox, a.stride[1], kx, a.dilation[1], a.padding[1], g.w);
                    if let (Some(row), Some(column)) = (row, column) {
                        let channel = o / width * depth + i;
                        let pixel = x[((image * g.cin + channel) * g.h + row) * g.w + column];
                        let tap = weight[((o * depth + i) * a.kernel[0] + ky) * a.kernel[1] + kx];
                        sum += factor(pixel) * factor(tap);
                    }
                }
            }
        }
        y.push(sum);
    }
    y
}

/// Every window of a pooling over `[n, c, h, w]`, in the order of the results: the taps that lie in the image, each with
/// its position in the window.
pub fn pool_windows<'a>(g: &'a PoolGeometry, x: &'a [f32]) -> impl Iterator<Item = Vec<(usize, f32)>> + 'a {
    let a = &g.attrs;
    (0..g.n * g.c * g.out[0] * g.out[1]).map(move |index| {
        let (oy, ox) = (index / g.out[1] % g.out[0], index % g.out[1]);
        let map = index / (g.out[0] * g.out[1]);
        let taps = (0..a.kernel[0] * a.kernel[1]).filter_map(move |tap| {
            let row = source(oy, a.stride[0], tap / a.kernel[1], 1, a.padding[0], g.h)?;
            let column = source(ox, a.stride[1], tap % a.kernel[1], 1, a.padding[1], g.w)?;
            Some((tap, x[(map * g.h + row) * g.w + column]))
        });
        taps.collect()
    })
}
