//! Maps `[rows, channels]`: normalisation, sums, elementwise kernels.

use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::Kernel;
use resnetc_runtime::device::RunArgs;

use crate::harness::{Case, Output, Random, Tensor, check, rounding};

/// Odd and even, one channel, one row, tails of every vector length, more rows than a block, enough work for threads.
const SHAPES: [[usize; 2]; 12] = [
    [1, 1],
    [2, 3],
    [1, 64],
    [7, 16],
    [13, 33],
    [9, 10],
    [300, 1],
    [1031, 5],
    [260, 48],
    [128, 100],
    [40, 513],
    [17, 2048],
];

const ACTS: [Option<Activation>; 4] =
    [None, Some(Activation::Relu), Some(Activation::LeakyRelu { slope: 0.1 }), Some(Activation::Sigmoid)];

fn f32_out(len: usize, tolerance: f64) -> Output {
    Output { dtype: DType::F32, len, tolerance }
}

fn case(kernel: Kernel, inputs: Vec<Tensor>, outputs: Vec<Output>) -> Case {
    let args = RunArgs::default();
    Case { kernel, args, inputs, outputs, updated: Vec::new(), aliases: Vec::new() }
}

/// Sum of the magnitudes, of the worst channel.
fn column_sum(channels: usize, values: impl Iterator<Item = f64>) -> f64 {
    let mut sums = vec![0.0; channels];
    values.enumerate().for_each(|(i, v)| sums[i % channels] += v.abs());
    sums.into_iter().fold(0.0, f64::max)
}

#[test]
fn channel_sum() {
    for [rows, channels] in SHAPES {
        let dy = Random(1).floats(rows * channels, -2.0, 2.0);
        // At most 8 additions in a tile, 16 tiles (or 7 single rows after 15) in a block of 128, then `f64`, then one
        // rounding to `f32`: no partial sum exceeds the sum of magnitudes.
        let tolerance = rounding(8 + 23 + 1, column_sum(channels, dy.values.iter().copied()));
        check(&case(Kernel::ChannelSum { rows, channels }, vec![dy], vec![f32_out(channels, tolerance)]));
    }
}

fn bn_stats_case(rows: usize, channels: usize, x: Tensor, magnitude: f64, std: f64) -> Case {
    let mut random = Random(2);
    let running = [random.floats(channels, -1.0, 1.0), random.floats(channels, 0.5, 2.0)];
    let [running_mean, running_var] = running;
    let eps = 1e-5;
    let kernel = Kernel::BnStats { rows, channels, eps, momentum: 0.1 };
    // The mean is exact but for its rounding, that of the estimate's deviations, and their sums. The variance has
    // roundings of a difference, a square, and 31 additions in a block, all relative to the variance's own size.
    let mean = rounding(2, magnitude) + rounding(34, std);
    let var = rounding(2 * 2 + 34, std * std);
    // d(v^-1/2) = v^-3/2 dv / 2, of the smallest variance; plus its own rounding.
    let smallest = smallest_variance(rows, channels, &x) + f64::from(eps);
    let rstd = 0.5 * var / smallest.powf(1.5) + rounding(1, smallest.powf(-0.5));
    let mut c = case(
        kernel,
        vec![x, running_mean, running_var],
        vec![f32_out(channels, mean), f32_out(channels, rstd)],
    );
    c.updated = vec![(1, mean + rounding(1, magnitude)), (2, 2.0 * var + rounding(1, 2.0 + 2.0 * std * std))];
    c
}

fn smallest_variance(rows: usize, channels: usize, x: &Tensor) -> f64 {
    let n = rows as f64;
    let variance = |c: usize| {
        let column = || x.values.iter().skip(c).step_by(channels);
        let mean = column().sum::<f64>() / n;
        column().map(|v| (v - mean).powi(2)).sum::<f64>() / n
    };
    (0..channels).map(variance).fold(f64::INFINITY, f64::min)
}

#[test]
fn bn_stats() {
    for [rows, channels] in SHAPES {
        let x = Random(3).floats(rows * channels, -2.0, 2.0);
        check(&bn_stats_case(rows, channels, x, 2.0, 4.0));
    }
}

/// A mean a thousand times the deviation, and a first row that is none of the rest: sums of squares, also shifted by the
/// first row, would be off by a large part of the variance.
#[test]
fn bn_stats_far_from_zero() {
    let (rows, channels) = (3000, 19);
    let mut x = Random(4).floats(rows * channels, 999.0, 1001.0);
    check(&bn_stats_case(rows, channels, x.clone(), 1001.0, 2.0));
    x.values[..channels].fill(0.0);
    // The first block's variance is of the outlier, not of the rest: up to 1001^2 / 128 of its own.
    check(&bn_stats_case(rows, channels, x, 1001.0, 1001.0 / 8.0));
}

#[test]
fn running_statistics_are_pytorchs() {
    // Values 1, 2, 3, 4: mean 2.5, biased variance 1.25, unbiased 5/3; momentum 0.5, from mean 1 and variance 1.
    let kernel = Kernel::BnStats { rows: 4, channels: 1, eps: 0.75, momentum: 0.5 };
    let tensor = |values: &[f64]| Tensor { dtype: DType::F32, values: values.to_vec() };
    let inputs = vec![tensor(&[1.0, 2.0, 3.0, 4.0]), tensor(&[1.0]), tensor(&[1.0])];
    let mut c = case(kernel, inputs, vec![f32_out(1, 0.0), f32_out(1, 0.0)]);
    c.updated = vec![(1, 0.0), (2, 0.0)];
    let isa = resnetc_runtime::cpu::simd::Isa::Portable;
    let found = crate::harness::run(&c, isa, 2, &[None, None]);
    let var = f64::from((0.5 + 0.5 * 5.0 / 3.0) as f32);
    assert_eq!(found, [[2.5], [f64::from(0.5f64.sqrt() as f32)], [1.75], [var]]);
}

#[test]
fn bn_apply() {
    for [rows, channels] in SHAPES {
        for act in ACTS {
            for residual in [false, true] {
                let mut r = Random(5);
                let len = rows * channels;
                let mut inputs = vec![r.floats(len, -2.0, 2.0), r.floats(channels, -1.0, 1.0)];
                inputs.extend([0; 2].map(|_| r.floats(channels, 0.5, 1.5)));
                inputs.push(r.floats(channels, -1.0, 1.0));
                inputs.extend(residual.then(|| r.floats(len, -2.0, 2.0)));
                let kernel = Kernel::BnApply { rows, channels, epilogue: Epilogue { residual, act } };
                // Factor, difference, product, two sums, activation (4 more for the sigmoid's exponential and division):
                // at most 10 roundings of values up to 3 * 1.5 * 1.5 + 1 + 2.
                let mut c = case(kernel, inputs, vec![f32_out(len, rounding(10, 9.75))]);
                c.aliases = vec![vec![Some(0)]];
                c.aliases.extend(residual.then(|| vec![Some(5)]));
                check(&c);
            }
        }
    }
}

#[test]
fn affine() {
    for [rows, channels] in SHAPES {
        for act in ACTS {
            for residual in [false, true] {
                let mut r = Random(6);
                let len = rows * channels;
                let mut inputs = vec![r.floats(len, -2.0, 2.0), r.floats(channels, -1.5, 1.5)];
                inputs.push(r.floats(channels, -1.0, 1.0));
                inputs.extend(residual.then(|| r.floats(len, -2.0, 2.0)));
                let kernel = Kernel::Affine { rows, channels, epilogue: Epilogue { residual, act } };
                // Product, two sums, activation of up to 5 roundings; values up to 2 * 1.5 + 1 + 2.
                let mut c = case(kernel, inputs, vec![f32_out(len, rounding(8, 6.0))]);
                c.aliases = vec![vec![Some(0)]];
                c.aliases.extend(residual.then(|| vec![Some(3)]));
                check(&c);
            }
        }
    }
}

/// `dy, x`, then `mean, rstd` of a normalisation, and `y` if asked for (in the range of a sigmoid or of the others).
fn backward_operands(len: usize, channels: usize, act: Option<Activation>) -> (Vec<Tensor>, Option<Tensor>) {
    let mut r = Random(7);
    let maps = [0; 2].map(|_| r.floats(len, -2.0, 2.0));
    let channel = [r.floats(channels, -1.0, 1.0), r.floats(channels, 0.5, 1.5)];
    let low = if act == Some(Activation::Sigmoid) { 0.0 } else { -1.0 };
    (maps.into_iter().chain(channel).collect(), act.map(|_| r.floats(len, low, 1.0)))
}

/// The last operand of a batch normalisation's gradient: `y`, or a shift, where signs are computed.
fn bn_mask(epilogue: Epilogue, channels: usize, y: Option<Tensor>) -> Option<Tensor> {
    if epilogue.recomputes_sign() { Some(Random(9).floats(channels, -1.0, 1.0)) } else { y }
}

fn epilogues() -> impl Iterator<Item = Epilogue> {
    ACTS.into_iter().flat_map(|act| [false, true].map(|residual| Epilogue { residual, act }))
}

#[test]
fn bn_backward_reduce() {
    for [rows, channels] in SHAPES {
        for epilogue in epilogues() {
            let (mut inputs, y) = backward_operands(rows * channels, channels, epilogue.act);
            let sum = column_sum(channels, inputs[0].values.iter().copied());
            inputs.extend(epilogue.recomputes_sign().then(|| Random(8).floats(channels, 0.5, 1.5)));
            inputs.extend(bn_mask(epilogue, channels, y));
            // As for `channel_sum`, with three more roundings of the activation's gradient, two of difference and
            // product; |x - mean| <= 3, rstd <= 1.5.
            let tolerances = [rounding(32 + 5, sum * 3.0 * 1.5), rounding(32 + 3, sum)];
            let outputs = tolerances.map(|t| f32_out(channels, t)).into();
            check(&case(Kernel::BnBackwardReduce { rows, channels, epilogue }, inputs, outputs));
        }
    }
}

#[test]
fn bn_backward_apply() {
    for [rows, channels] in SHAPES {
        for epilogue in epilogues() {
            let len = rows * channels;
            let (mut inputs, y) = backward_operands(len, channels, epilogue.act);
            let mut r = Random(8);
            inputs.push(r.floats(channels, 0.5, 1.5));
            let bound = rows as f64;
            inputs.extend([0; 2].map(|_| r.floats(channels, -bound, bound)));
            inputs.extend(bn_mask(epilogue, channels, y));
            let kernel = Kernel::BnBackwardApply { rows, channels, epilogue };
            // Activation's gradient 3, per-channel operands 2 + 2 + 3, elementwise 4: values up to
            // 1.5 * 1.5 * (2 + 1 + 3 * 1.5).
            let tolerance = rounding(14, 1.5 * 1.5 * 7.5);
            let mut outputs = vec![f32_out(len, tolerance)];
            outputs.extend(epilogue.residual.then(|| f32_out(len, rounding(3, 2.0))));
            let mut c = case(kernel, inputs, outputs);
            c.aliases = match epilogue.residual {
                false => vec![vec![Some(0)], vec![Some(1)]],
                true => vec![vec![Some(0), None], vec![Some(1), Some(0)], vec![Some(0), Some(1)]],
            };
            check(&c);
        }
    }
}

#[test]
fn elementwise() {
    for [rows, channels] in SHAPES {
        let len = rows * channels;
        let mut r = Random(9);
        let (a, b) = (r.floats(len, -8.0, 8.0), r.floats(len, -8.0, 8.0));
        for act in ACTS {
            // One sum, then at most 5 roundings of an activation.
            let mut c = case(
                Kernel::Add { len, act },
                vec![a.clone(), b.clone()],
                vec![f32_out(len, rounding(6, 16.0))],
            );
            c.aliases = vec![vec![Some(0)], vec![Some(1)]];
            check(&c);
            let Some(act) = act else { continue };
            // The sigmoid: exponential 2 units (4 half units), sum, quotient, relative to results up to 1.
            let tolerance = if act == Activation::Sigmoid { rounding(6, 1.0) } else { rounding(1, 8.0) };
            let mut c = case(Kernel::Activate { len, act }, vec![a.clone()], vec![f32_out(len, tolerance)]);
            c.aliases = vec![vec![Some(0)]];
            check(&c);
            // Difference and two products; `y` of a sigmoid would be in 0..1, but the formula holds anywhere: up to
            // 8 * 8 * 9.
            let inputs = vec![a.clone(), b.clone()];
            let output = f32_out(len, rounding(3, 8.0 * 8.0 * 9.0));
            let mut c = case(Kernel::ActivateBackward { len, act }, inputs, vec![output]);
            c.aliases = vec![vec![Some(0)], vec![Some(1)]];
            check(&c);
        }
    }
}

#[test]
fn activations_keep_nan() {
    for act in ACTS.into_iter().flatten() {
        let values = vec![f64::NAN, 1.0, f64::NAN];
        let x = Tensor { dtype: DType::F32, values };
        let kernel = Kernel::Activate { len: 3, act };
        let c = case(kernel, vec![x], vec![f32_out(3, rounding(6, 1.0))]);
        check(&c);
    }
}
