//! Group normalisation: the formulas of `ir::op`, one element at a time.

use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::plan::GroupGeometry;

use super::elementwise::{activate, masked};

/// Channel of an element, and its place among the statistics `[images, groups]`.
fn place(g: &GroupGeometry, i: usize) -> (usize, usize) {
    let (image, channel) = (i / (g.pixels * g.channels), i % g.channels);
    (channel, image * g.groups + channel / (g.channels / g.groups))
}

/// Means over the groups: `x [images, pixels, channels] -> [images, groups]`.
fn means(g: &GroupGeometry, x: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; g.images * g.groups];
    x.iter().enumerate().for_each(|(i, v)| sums[place(g, i).1] += v);
    let count = (g.pixels * g.channels / g.groups) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

/// Mean and `1 / sqrt(var + eps)` of every group by two passes.
pub fn group_stats(g: &GroupGeometry, eps: f32, x: &[f64]) -> [Vec<f64>; 2] {
    let mean = means(g, x);
    let squares: Vec<f64> = x.iter().enumerate().map(|(i, v)| (v - mean[place(g, i).1]).powi(2)).collect();
    let rstd = means(g, &squares).into_iter().map(|var| 1.0 / (var + f64::from(eps)).sqrt()).collect();
    [mean, rstd]
}

/// `act((x - mean) * rstd * scale + shift + residual)`
pub fn group_apply(
    g: &GroupGeometry,
    epilogue: Epilogue,
    x: &[f64],
    [mean, rstd, scale, shift]: [&[f64]; 4],
    residual: Option<&[f64]>,
) -> Vec<f64> {
    let value = |(i, v): (usize, &f64)| {
        let (c, at) = place(g, i);
        let y = (v - mean[at]) * rstd[at] * scale[c] + shift[c] + residual.map_or(0.0, |r| r[i]);
        epilogue.act.map_or(y, |act| activate(act, y))
    };
    x.iter().enumerate().map(value).collect()
}

/// `dscale, dshift` and the groups' means of `scale * dy' * xhat` and `scale * dy'`.
pub fn group_backward_reduce(
    g: &GroupGeometry,
    act: Option<Activation>,
    dy: &[f64],
    x: &[f64],
    [mean, rstd, scale]: [&[f64]; 3],
    y: Option<&[f64]>,
) -> [Vec<f64>; 4] {
    let dy = masked(act, dy, y);
    let [mut dscale, mut dshift] = [vec![0.0; g.channels], vec![0.0; g.channels]];
    let [mut products, mut scaled] = [Vec::new(), Vec::new()];
    for (i, d) in dy.iter().enumerate() {
        let (c, at) = place(g, i);
        let product = d * (x[i] - mean[at]) * rstd[at];
        dscale[c] += product;
        dshift[c] += d;
        products.push(scale[c] * product);
        scaled.push(scale[c] * d);
    }
    [dscale, dshift, means(g, &products), means(g, &scaled)]
}

/// `dx = rstd * (scale * dy' - offset - xhat * slope)`, and `dy'`, the residual's gradient. The operands beside the maps are
/// `mean, rstd, scale, slope, offset`.
pub fn group_backward_apply(
    g: &GroupGeometry,
    act: Option<Activation>,
    dy: &[f64],
    x: &[f64],
    [mean, rstd, scale, slope, offset]: [&[f64]; 5],
    y: Option<&[f64]>,
) -> [Vec<f64>; 2] {
    let dy = masked(act, dy, y);
    let gradient = |(i, d): (usize, &f64)| {
        let (c, at) = place(g, i);
        rstd[at] * (scale[c] * d - offset[at] - (x[i] - mean[at]) * rstd[at] * slope[at])
    };
    [dy.iter().enumerate().map(gradient).collect(), dy]
}
