//! Results that are known without an oracle: borders, ties, what is not finite, statistics far from zero.

use resnetc_compiler::ir::op::{Activation, PoolAttrs};
use resnetc_compiler::plan::kernel::{Activate, BnStats, CrossEntropy, GlobalMaxPool, MaxPool};
use resnetc_compiler::plan::{Kernel, PoolGeometry};
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::oracle;
use resnetc_tests::plans::{Results, cpu_session, run_kernel};
use resnetc_tests::rng::Rng;

/// The CPU with each of its instruction sets.
fn cpus() -> Vec<Box<dyn Session>> {
    Isa::ALL.into_iter().filter(|isa| isa.available()).map(|isa| cpu_session(3, isa)).collect()
}

/// The CPU and the reference.
fn devices() -> Vec<Box<dyn Session>> {
    let mut devices = cpus();
    devices.push(Box::new(oracle()));
    devices
}

/// Results of a kernel on each device, with what the device is called.
fn run(devices: Vec<Box<dyn Session>>, kernel: &Kernel, data: &[Vec<f32>]) -> Vec<(String, Results)> {
    let one = |mut device: Box<dyn Session>| {
        let results = run_kernel(&mut *device, kernel, data, &[]).expect("it runs");
        (device.device().describe(), results)
    };
    devices.into_iter().map(one).collect()
}

/// Windows of 3x3 over a map of one channel.
fn windows(size: usize, stride: usize, padding: usize) -> Kernel {
    let attrs = PoolAttrs {
        kernel: [3, 3],
        stride: [stride; 2],
        padding: [padding; 2],
        ceil: false,
        count_padding: true,
    };
    let out = [(size + 2 * padding - 3) / stride + 1; 2];
    let geometry = PoolGeometry { n: 1, h: size, w: size, c: 1, out, attrs };
    Kernel::MaxPool(MaxPool { geometry, positions: true })
}

#[test]
fn the_border_is_no_pixel_not_even_beside_minus_infinity() {
    for (device, found) in run(devices(), &windows(4, 2, 1), &[vec![f32::NEG_INFINITY; 16]]) {
        assert_eq!(found.outputs[0], [f32::NEG_INFINITY; 4], "{device}");
        // The first window's first pixel is at its row 1, column 1.
        assert_eq!(found.outputs[1], [4.0, 3.0, 1.0, 0.0], "{device}");
    }
}

#[test]
fn the_last_nan_is_the_maximum_of_a_window() {
    let mut x = vec![1.0; 9];
    (x[2], x[5]) = (f32::NAN, f32::NAN);
    for (device, found) in run(cpus(), &windows(3, 1, 0), &[x]) {
        assert!(found.outputs[0][0].is_nan(), "{device}");
        assert_eq!(found.outputs[1], [5.0], "{device}");
    }
}

#[test]
fn of_equal_pixels_the_first_is_the_maximum_of_an_image() {
    let mut rng = Rng::new(33);
    for [images, pixels, channels] in [[1, 1, 1], [2, 49, 64], [3, 5, 33], [1, 3000, 7], [5, 64, 10]] {
        let x: Vec<f32> = (0..images * channels * pixels).map(|_| rng.range(0, 3) as f32).collect();
        let first = |plane: &[f32]| {
            let largest = plane.iter().copied().fold(f32::MIN, f32::max);
            plane.iter().position(|&v| v == largest).expect("the largest is one of them") as f32
        };
        let expected: Vec<f32> = x.chunks(pixels).map(first).collect();
        let kernel = Kernel::GlobalMaxPool(GlobalMaxPool { images, pixels, channels, positions: true });
        for (device, found) in run(devices(), &kernel, &[x]) {
            assert_eq!(found.outputs[1], expected, "{device}");
        }
    }
}

#[test]
fn the_last_nan_is_the_maximum_of_an_image() {
    let (pixels, channels) = (40, 19);
    let plane: Vec<f32> = (0..pixels).map(|i| if i % 11 == 3 { f32::NAN } else { i as f32 }).collect();
    let kernel = Kernel::GlobalMaxPool(GlobalMaxPool { images: 1, pixels, channels, positions: true });
    for (device, found) in run(cpus(), &kernel, &[plane.repeat(channels)]) {
        assert!(found.outputs[0].iter().all(|y| y.is_nan()), "{device}");
        assert_eq!(found.outputs[1], vec![36.0; channels], "{device}");
    }
}

#[test]
fn activations_keep_nan() {
    // More than a vector, and a rest.
    let len = 37;
    let x: Vec<f32> = (0..len).map(|i| if i % 3 == 0 { f32::NAN } else { 1.0 }).collect();
    for act in Activation::ALL.iter().copied() {
        for (device, found) in run(cpus(), &Kernel::Activate(Activate { len, act }), std::slice::from_ref(&x))
        {
            let kept = x.iter().zip(&found.outputs[0]).all(|(x, y)| x.is_nan() == y.is_nan());
            assert!(kept, "{act:?} on {device}: {:?}", found.outputs[0]);
        }
    }
}

#[test]
fn of_equal_logits_the_first_is_the_answer_and_a_label_of_no_class_gives_nan() {
    let kernel = Kernel::CrossEntropy(CrossEntropy { rows: 2, classes: 3, smoothing: 0.0 });
    let logits = vec![1.0, 5.0, 5.0, 2.0, 2.0, 1.0];
    let of_labels = |labels: [f32; 2]| run(devices(), &kernel, &[logits.clone(), labels.to_vec()]);
    for (labels, correct) in [([1.0, 0.0], 2.0), ([2.0, 1.0], 0.0)] {
        for (device, found) in of_labels(labels) {
            assert_eq!(found.outputs[1], [correct], "{labels:?} on {device}");
        }
    }
    for (device, found) in of_labels([1.0, 3.0]) {
        assert!(found.outputs[0][0].is_nan(), "{device}: {}", found.outputs[0][0]);
    }
}

#[test]
fn running_statistics_are_pytorchs() {
    // Values 1, 2, 3, 4: mean 2.5, biased variance 1.25, unbiased 5/3; momentum 0.5, from mean 1 and variance 1.
    let kernel = Kernel::BnStats(BnStats { rows: 4, channels: 1, eps: 0.75, momentum: 0.5 });
    let data = [vec![1.0, 2.0, 3.0, 4.0], vec![1.0], vec![1.0]];
    for (device, found) in run(devices(), &kernel, &data) {
        let numbers = [&found.outputs[0], &found.outputs[1], &found.inputs[1], &found.inputs[2]];
        let expected = [2.5, 0.5f32.sqrt(), 1.75, 0.5 + 0.5 * 5.0 / 3.0];
        for (found, expected) in numbers.into_iter().zip(expected) {
            assert!(
                (found[0] - expected).abs() <= f32::EPSILON * expected,
                "{device}: {found:?}, {expected}"
            );
        }
    }
}

/// Mean and reciprocal deviation of each channel of `x [rows][channels]`, in double precision.
fn exact_statistics(x: &[f32], channels: usize, eps: f64) -> Vec<[f64; 2]> {
    let one = |channel: usize| {
        let column = || x.iter().skip(channel).step_by(channels).map(|&v| f64::from(v));
        let rows = column().count() as f64;
        let mean = column().sum::<f64>() / rows;
        let var = column().map(|v| (v - mean).powi(2)).sum::<f64>() / rows;
        [mean, 1.0 / (var + eps).sqrt()]
    };
    (0..channels).map(one).collect()
}

/// A sum of squares without a shift would lose all digits of such variances.
#[test]
fn statistics_far_from_zero_keep_their_digits() {
    let (rows, channels, eps) = (3000, 19, 1e-5);
    let mut rng = Rng::new(4);
    let far: Vec<f32> = (0..rows * channels).map(|_| 999.0 + 2.0 * rng.uniform()).collect();
    let mut outlier = far.clone();
    outlier[..channels].fill(0.0);
    let kernel = Kernel::BnStats(BnStats { rows, channels, eps, momentum: 0.1 });
    // Each sum of that many terms is off by at most `rows` roundings.
    let bound = rows as f64 * f64::from(f32::EPSILON) / 2.0;
    for x in [far, outlier] {
        let exact = exact_statistics(&x, channels, f64::from(eps));
        let data = [x, vec![0.0; channels], vec![1.0; channels]];
        for (device, found) in run(devices(), &kernel, &data) {
            for (channel, [mean, rstd]) in exact.iter().enumerate() {
                let [m, r] = [0, 1].map(|output| f64::from(found.outputs[output][channel]));
                assert!((m - mean).abs() <= bound * mean, "{device}, mean {channel}: {m}, {mean}");
                assert!((r - rstd).abs() <= bound * rstd, "{device}, deviation {channel}: {r}, {rstd}");
            }
        }
    }
}
