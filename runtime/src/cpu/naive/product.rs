//! Products of maps and with gates, element by element.

use resnetc_compiler::ir::op::{Activation, Epilogue};

use super::elementwise::{activate, masked};

/// For each element of the map, where its second factor is: at the same place, or, of a gate `[images, channels]`, that
/// of its image and channel.
pub fn second(pixels: usize, channels: usize, gate: bool) -> impl Fn(usize) -> usize {
    move |i| if gate { i / (pixels * channels) * channels + i % channels } else { i }
}

/// `act(a * b + residual)`
pub fn mul(
    epilogue: Epilogue,
    second: impl Fn(usize) -> usize,
    a: &[f64],
    b: &[f64],
    residual: Option<&[f64]>,
) -> Vec<f64> {
    let value = |(i, a): (usize, &f64)| {
        let y = a * b[second(i)] + residual.map_or(0.0, |r| r[i]);
        epilogue.act.map_or(y, |act| activate(act, y))
    };
    a.iter().enumerate().map(value).collect()
}

/// `da = dy' * b`, `db = dy' * a` summed over what shares an element of `b`, and `dy'`, the gradient before the
/// activation: the residual's.
pub fn mul_backward(
    act: Option<Activation>,
    second: impl Fn(usize) -> usize,
    dy: &[f64],
    a: &[f64],
    b: &[f64],
    y: Option<&[f64]>,
) -> [Vec<f64>; 3] {
    let dy = masked(act, dy, y);
    let mut db = vec![0.0; b.len()];
    for (i, (d, a)) in dy.iter().zip(a).enumerate() {
        db[second(i)] += d * a;
    }
    [dy.iter().enumerate().map(|(i, d)| d * b[second(i)]).collect(), db, dy]
}
