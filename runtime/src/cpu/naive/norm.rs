//! Batch normalisation, per-channel maps and sums: the formulas of `ir::op`, one element at a time.

use resnetc_compiler::ir::op::Epilogue;

use super::elementwise::{activate, masked};

/// Sums of every channel: `dy [rows, channels] -> [channels]`.
pub fn channel_sum(channels: usize, dy: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for row in dy.chunks_exact(channels) {
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum += v;
        }
    }
    sums
}

/// What [`bn_stats`] computes, each `[channels]`.
pub struct BatchStats {
    /// Mean of the batch.
    pub mean: Vec<f64>,
    /// `1 / sqrt(var + eps)`, with the biased variance.
    pub rstd: Vec<f64>,
    /// `(1 - momentum) * running + momentum * mean`.
    pub running_mean: Vec<f64>,
    /// Likewise with the unbiased variance (of a single row: the biased one, which is zero).
    pub running_var: Vec<f64>,
}

/// Mean and variance over rows by two passes, and the running statistics as PyTorch updates them.
pub fn bn_stats(
    rows: usize,
    eps: f32,
    momentum: f32,
    x: &[f64],
    running_mean: &[f64],
    running_var: &[f64],
) -> BatchStats {
    let channels = running_mean.len();
    let n = rows as f64;
    let mean: Vec<f64> = channel_sum(channels, x).iter().map(|s| s / n).collect();
    let squares: Vec<f64> = x.iter().enumerate().map(|(i, v)| (v - mean[i % channels]).powi(2)).collect();
    let m2 = channel_sum(channels, &squares);
    let keep = 1.0 - f64::from(momentum);
    let mix = |old: &[f64], new: &dyn Fn(usize) -> f64| -> Vec<f64> {
        old.iter().enumerate().map(|(c, o)| keep * o + f64::from(momentum) * new(c)).collect()
    };
    BatchStats {
        rstd: m2.iter().map(|m2| 1.0 / (m2 / n + f64::from(eps)).sqrt()).collect(),
        running_mean: mix(running_mean, &|c| mean[c]),
        running_var: mix(running_var, &|c| m2[c] / (n - 1.0).max(1.0)),
        mean,
    }
}

/// `act(scale * x + shift + residual)`, per channel.
pub fn affine(
    epilogue: Epilogue,
    x: &[f64],
    scale: &[f64],
    shift: &[f64],
    residual: Option<&[f64]>,
) -> Vec<f64> {
    let channels = scale.len();
    let value = |(i, v): (usize, &f64)| {
        let y = scale[i % channels] * v + shift[i % channels] + residual.map_or(0.0, |r| r[i]);
        epilogue.act.map_or(y, |act| activate(act, y))
    };
    x.iter().enumerate().map(value).collect()
}

/// `act((x - mean) * rstd * scale + shift + residual)`, per channel.
pub fn bn_apply(
    epilogue: Epilogue,
    x: &[f64],
    [mean, rstd, scale, shift]: [&[f64]; 4],
    residual: Option<&[f64]>,
) -> Vec<f64> {
    let factor: Vec<f64> = rstd.iter().zip(scale).map(|(r, s)| r * s).collect();
    let offset: Vec<f64> = (0..mean.len()).map(|c| shift[c] - mean[c] * factor[c]).collect();
    affine(epilogue, x, &factor, &offset, residual)
}

/// `dy` before the activation, by the last operand: the shift, where what the activation was applied to is computed anew
/// from `x, mean, rstd` and the scale, or the result. The operands begin with `dy, x, mean, rstd`.
pub fn before_activation(
    epilogue: Epilogue,
    operands: &[&[f64]],
    scale: Option<&[f64]>,
    last: Option<&[f64]>,
) -> Vec<f64> {
    let dy = operands[0];
    match (scale, last) {
        (Some(scale), Some(shift)) if epilogue.recomputes_sign() => {
            let [x, mean, rstd] = [operands[1], operands[2], operands[3]];
            let applied_to = bn_apply(Epilogue::default(), x, [mean, rstd, scale, shift], None);
            masked(epilogue.act, dy, Some(&applied_to))
        }
        (_, y) => masked(epilogue.act, dy, y),
    }
}

/// `dscale = sum(dy' * xhat)`, `dshift = sum(dy')` where `dy'` is `dy` before the activation, `xhat = (x - mean) * rstd`.
pub fn bn_backward_reduce(dy: &[f64], x: &[f64], mean: &[f64], rstd: &[f64]) -> [Vec<f64>; 2] {
    let channels = mean.len();
    let scaled = |(i, d): (usize, &f64)| d * (x[i] - mean[i % channels]) * rstd[i % channels];
    let products: Vec<f64> = dy.iter().enumerate().map(scaled).collect();
    [channel_sum(channels, &products), channel_sum(channels, dy)]
}

/// `dx = scale * rstd * (dy' - dshift / rows - xhat * dscale / rows)`, and `dy'`, the residual's gradient.
/// The per-channel operands are `mean, rstd, scale, dscale, dshift`.
pub fn bn_backward_apply(
    rows: usize,
    dy: &[f64],
    x: &[f64],
    [mean, rstd, scale, dscale, dshift]: [&[f64]; 5],
) -> [Vec<f64>; 2] {
    let channels = mean.len();
    let n = rows as f64;
    let gradient = |(i, d): (usize, &f64)| {
        let c = i % channels;
        let xhat = (x[i] - mean[c]) * rstd[c];
        scale[c] * rstd[c] * (d - dshift[c] / n - xhat * dscale[c] / n)
    };
    [dy.iter().enumerate().map(gradient).collect(), dy.to_vec()]
}
