//! Group normalisation: statistics per image and group.

use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{GroupGeometry, Kernel};
use resnetc_runtime::device::RunArgs;

use crate::harness::{Case, Output, Random, Tensor, check, rounding};

/// `[images, pixels, channels, groups]`: one element, one group, groups of one channel, groups across vectors, more
/// pixels than a block, fewer images than threads and more, enough work for threads.
const SIZES: [[usize; 4]; 10] = [
    [1, 1, 1, 1],
    [2, 3, 4, 2],
    [1, 7, 64, 32],
    [3, 9, 33, 11],
    [5, 4, 10, 1],
    [2, 12, 48, 48],
    [1, 1031, 6, 3],
    [4, 260, 24, 2],
    [7, 49, 256, 32],
    [1, 5, 2048, 32],
];

const ACTS: [Option<Activation>; 4] =
    [None, Some(Activation::Relu), Some(Activation::LeakyRelu { slope: 0.1 }), Some(Activation::Sigmoid)];

fn geometries() -> impl Iterator<Item = GroupGeometry> {
    SIZES.into_iter().map(|[images, pixels, channels, groups]| GroupGeometry {
        images,
        pixels,
        channels,
        groups,
    })
}

fn map(g: &GroupGeometry) -> usize {
    g.images * g.pixels * g.channels
}

fn output(len: usize, tolerance: f64) -> Output {
    Output { dtype: DType::F32, len, tolerance }
}

fn case(kernel: Kernel, inputs: Vec<Tensor>, outputs: Vec<Output>) -> Case {
    Case { kernel, args: RunArgs::default(), inputs, outputs, updated: Vec::new(), aliases: Vec::new() }
}

/// The smallest variance of a group.
fn smallest_variance(g: &GroupGeometry, x: &Tensor) -> f64 {
    let width = g.channels / g.groups;
    let variance = |image: usize, group: usize| {
        let inside = |i: usize| i / (g.pixels * g.channels) == image && i % g.channels / width == group;
        let values: Vec<f64> =
            x.values.iter().enumerate().filter(|&(i, _)| inside(i)).map(|(_, &v)| v).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let places = (0..g.images).flat_map(|image| (0..g.groups).map(move |group| (image, group)));
    places.map(|(image, group)| variance(image, group)).fold(f64::INFINITY, f64::min)
}

/// Of values up to `magnitude` in size, up to `spread` from their mean.
fn check_stats(g: GroupGeometry, x: Tensor, magnitude: f64, spread: f64) {
    let eps = 1e-5;
    // As for batch statistics: roundings of the estimate, of the sums of deviations from it, of their squares.
    let mean = rounding(2, magnitude) + rounding(34, spread);
    let var = rounding(2 * 2 + 34, spread * spread);
    let smallest = smallest_variance(&g, &x) + f64::from(eps);
    let rstd = 0.5 * var / smallest.powf(1.5) + rounding(1, smallest.powf(-0.5));
    let outputs = [mean, rstd].map(|tolerance| output(g.images * g.groups, tolerance));
    check(&case(Kernel::GroupStats { geometry: g, eps }, vec![x], outputs.into()));
}

#[test]
fn group_stats() {
    for g in geometries() {
        let x = Random(31).floats(map(&g), -2.0, 2.0);
        check_stats(g, x, 2.0, 4.0);
    }
}

/// Channels whose means are far apart from each other and from zero: the group's moments are not those of sums of squares.
#[test]
fn group_stats_far_from_zero() {
    let g = GroupGeometry { images: 2, pixels: 700, channels: 12, groups: 3 };
    let mut x = Random(32).floats(map(&g), 999.0, 1001.0);
    check_stats(g, x.clone(), 1001.0, 2.0);
    for (i, v) in x.values.iter_mut().enumerate() {
        *v += (i % 12) as f64 * 8.0;
    }
    check_stats(g, x, 1100.0, 32.0);
}

#[test]
fn group_apply() {
    for g in geometries() {
        for act in ACTS {
            for residual in [false, true] {
                let mut r = Random(33);
                let (len, statistics) = (map(&g), g.images * g.groups);
                let mut inputs = vec![r.floats(len, -2.0, 2.0), r.floats(statistics, -1.0, 1.0)];
                inputs.push(r.floats(statistics, 0.5, 1.5));
                inputs.extend([r.floats(g.channels, 0.5, 1.5), r.floats(g.channels, -1.0, 1.0)]);
                inputs.extend(residual.then(|| r.floats(len, -2.0, 2.0)));
                let kernel = Kernel::GroupApply { geometry: g, epilogue: Epilogue { residual, act } };
                // As for batch normalisation: 10 roundings of values up to 3 * 1.5 * 1.5 + 1 + 2.
                let mut c = case(kernel, inputs, vec![output(len, rounding(10, 9.75))]);
                c.aliases = vec![vec![Some(0)]];
                c.aliases.extend(residual.then(|| vec![Some(5)]));
                check(&c);
            }
        }
    }
}

/// `dy, x, mean, rstd, scale`, and the activation's result if asked for (in the range of a sigmoid or of the others).
fn backward_operands(g: &GroupGeometry, act: Option<Activation>) -> (Vec<Tensor>, Option<Tensor>) {
    let mut r = Random(34);
    let mut inputs = vec![r.floats(map(g), -2.0, 2.0), r.floats(map(g), -2.0, 2.0)];
    inputs.push(r.floats(g.images * g.groups, -1.0, 1.0));
    inputs.push(r.floats(g.images * g.groups, 0.5, 1.5));
    inputs.push(r.floats(g.channels, 0.5, 1.5));
    let low = if act == Some(Activation::Sigmoid) { 0.0 } else { -1.0 };
    (inputs, act.map(|_| r.floats(map(g), low, 1.0)))
}

#[test]
fn group_backward_reduce() {
    for g in geometries() {
        for act in ACTS {
            let (mut inputs, y) = backward_operands(&g, act);
            inputs.extend(y);
            // A block's sums have 31 roundings, the terms up to 5, the factors 2; |dy| <= 2, |x - mean| <= 3,
            // rstd and scale up to 1.5. Sums over all images and pixels, means over groups.
            let count = (g.images * g.pixels) as f64;
            let terms = [2.0 * 3.0 * 1.5 * count, 2.0 * count, 2.0 * 3.0 * 1.5 * 1.5, 2.0 * 1.5];
            let statistics = g.images * g.groups;
            let lens = [g.channels, g.channels, statistics, statistics];
            let outputs = (0..4).map(|i| output(lens[i], rounding(31 + 5 + 2, terms[i]))).collect();
            check(&case(Kernel::GroupBackwardReduce { geometry: g, act }, inputs, outputs));
        }
    }
}

#[test]
fn group_backward_apply() {
    for g in geometries() {
        for act in ACTS {
            for residual in [false, true] {
                let (len, (mut inputs, y)) = (map(&g), backward_operands(&g, act));
                let mut r = Random(35);
                inputs.extend([0; 2].map(|_| r.floats(g.images * g.groups, -1.0, 1.0)));
                inputs.extend(y);
                let kernel = Kernel::GroupBackwardApply { geometry: g, epilogue: Epilogue { residual, act } };
                // Activation's gradient 3, per-channel operands 1 + 2 + 1, elementwise 4: values up to
                // 1.5 * (1.5 * 2 + 1 + 3 * 1.5).
                let mut outputs = vec![output(len, rounding(11, 1.5 * 8.5))];
                outputs.extend(residual.then(|| output(len, rounding(3, 2.0))));
                let mut c = case(kernel, inputs, outputs);
                c.aliases = match residual {
                    false => vec![vec![Some(0)], vec![Some(1)]],
                    true => vec![vec![Some(0), None], vec![Some(1), Some(0)], vec![Some(0), Some(1)]],
                };
                check(&c);
            }
        }
    }
}
