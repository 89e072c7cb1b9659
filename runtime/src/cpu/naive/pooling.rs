//! Pooling over windows of NHWC maps, written from the output's side: forward gathers, backward scatters.

use resnetc_compiler::plan::PoolGeometry;

/// Taps of one window that lie in the image: `(row-major position in the window, pixel of the image)`.
fn taps(g: &PoolGeometry, oy: usize, ox: usize) -> impl Iterator<Item = (usize, usize)> + use<'_> {
    let [kh, kw] = g.attrs.kernel;
    (0..kh * kw).filter_map(move |position| {
        let y = (oy * g.attrs.stride[0] + position / kw).checked_sub(g.attrs.padding[0])?;
        let x = (ox * g.attrs.stride[1] + position % kw).checked_sub(g.attrs.padding[1])?;
        (y < g.h && x < g.w).then_some((position, y * g.w + x))
    })
}

/// Calls `f(output element, first element of the image and channel, oy, ox)` for all output elements; the pixel `p` of
/// that image and channel is the element `base + p * c`.
fn for_outputs(g: &PoolGeometry, mut f: impl FnMut(usize, usize, usize, usize)) {
    let [oh, ow] = g.out;
    for i in 0..g.n * oh * ow * g.c {
        let (pixel, channel) = (i / g.c, i % g.c);
        let image = pixel / (oh * ow);
        f(i, image * g.h * g.w * g.c + channel, pixel / ow % oh, pixel % ow);
    }
}

/// Maxima and their positions: the first of equal ones; a NaN wins, the last of several.
pub fn max_pool(g: &PoolGeometry, x: &[f64]) -> [Vec<f64>; 2] {
    let len = g.n * g.out[0] * g.out[1] * g.c;
    let (mut y, mut positions) = (vec![f64::NEG_INFINITY; len], vec![0.0; len]);
    for_outputs(g, |i, base, oy, ox| {
        for (nth, (position, pixel)) in taps(g, oy, ox).enumerate() {
            let v = x[base + pixel * g.c];
            if nth == 0 || v > y[i] || v.is_nan() {
                (y[i], positions[i]) = (v, position as f64);
            }
        }
    });
    [y, positions]
}

/// Every `dy` goes to the tap at its position.
pub fn max_pool_backward(g: &PoolGeometry, dy: &[f64], positions: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.n * g.h * g.w * g.c];
    for_outputs(g, |i, base, oy, ox| {
        for (position, pixel) in taps(g, oy, ox) {
            if position as f64 == positions[i] {
                dx[base + pixel * g.c] += dy[i];
            }
        }
    });
    dx
}

/// What a window's sum is divided by: its pixels in the image, or, with `count_padding`, in the image and its border
/// (a last, incomplete window reaches beyond even that, and what is beyond does not count).
fn divisor(g: &PoolGeometry, oy: usize, ox: usize) -> f64 {
    if !g.attrs.count_padding {
        return taps(g, oy, ox).count() as f64;
    }
    let extent = |size: usize, o: usize, d: usize| {
        let start = o * g.attrs.stride[d];
        g.attrs.kernel[d].min((size + 2 * g.attrs.padding[d]).saturating_sub(start))
    };
    (extent(g.h, oy, 0) * extent(g.w, ox, 1)) as f64
}

/// Means of the windows; of a window with no pixel in it, zero.
pub fn avg_pool(g: &PoolGeometry, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; g.n * g.out[0] * g.out[1] * g.c];
    for_outputs(g, |i, base, oy, ox| {
        for (_, pixel) in taps(g, oy, ox) {
            y[i] += x[base + pixel * g.c] / divisor(g, oy, ox);
        }
    });
    y
}

/// Every `dy` goes to all taps of its window in equal parts.
pub fn avg_pool_backward(g: &PoolGeometry, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.n * g.h * g.w * g.c];
    for_outputs(g, |i, base, oy, ox| {
        for (_, pixel) in taps(g, oy, ox) {
            dx[base + pixel * g.c] += dy[i] / divisor(g, oy, ox);
        }
    });
    dx
}

/// `x [images, pixels, channels] -> [images, channels]`: means over pixels.
pub fn global_avg_pool(images: usize, pixels: usize, channels: usize, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; images * channels];
    for (i, v) in x.iter().enumerate() {
        y[i / (pixels * channels) * channels + i % channels] += v / pixels as f64;
    }
    y
}

/// `dy [images, channels] -> [images, pixels, channels]`
pub fn global_avg_pool_backward(images: usize, pixels: usize, channels: usize, dy: &[f64]) -> Vec<f64> {
    let source = |i: usize| dy[i / (pixels * channels) * channels + i % channels] / pixels as f64;
    (0..images * pixels * channels).map(source).collect()
}

/// `x [images, pixels, channels] -> [images, channels]`: maxima over pixels and where they are; the first of equal ones, a
/// NaN wins, the last of several.
pub fn global_max_pool(images: usize, pixels: usize, channels: usize, x: &[f64]) -> [Vec<f64>; 2] {
    let (mut y, mut at) = (vec![f64::NEG_INFINITY; images * channels], vec![0.0; images * channels]);
    for (i, &v) in x.iter().enumerate() {
        let (pixel, out) = (i / channels % pixels, i / (pixels * channels) * channels + i % channels);
        if v > y[out] || v.is_nan() {
            (y[out], at[out]) = (v, pixel as f64);
        }
    }
    [y, at]
}

/// Every `dy` goes to its pixel.
pub fn global_max_pool_backward(
    images: usize,
    pixels: usize,
    channels: usize,
    dy: &[f64],
    positions: &[f64],
) -> Vec<f64> {
    let mut dx = vec![0.0; images * pixels * channels];
    for (i, d) in dy.iter().enumerate() {
        dx[(i / channels * pixels + positions[i] as usize) * channels + i % channels] = *d;
    }
    dx
}
