//! The pictures: reproducible, of the registered mean and deviation, and out of a linear classifier's reach.

use super::*;
use crate::data::order::{Rank, shuffled};

fn pixels(source: &dyn Source, index: usize) -> Vec<u8> {
    source.picture(index).expect("drawn").pixels().to_vec()
}

fn all(source: &dyn Source) -> Vec<Vec<u8>> {
    (0..source.len()).map(|index| pixels(source, index)).collect()
}

#[test]
fn the_pictures_do_not_depend_on_who_asks_for_them_and_when() {
    let config = Config { train: 40, test: 10, seed: 3 };
    let whole = all(&*generate(config).train);
    let set = generate(config);
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (train, whole) = (&*set.train, &whole);
            scope.spawn(move || {
                for index in (turn * 10..turn * 10 + 25).rev().map(|i| i % 40) {
                    assert_eq!(pixels(train, index), whole[index], "picture {index}");
                }
            });
        }
    });
}

#[test]
fn every_seed_and_split_has_its_own_pictures() {
    let set = generate(Config { train: 200, test: 50, seed: 3 });
    assert_ne!(pixels(&*set.train, 0), pixels(&*set.test, 0));
    let other = generate(Config { train: 10, test: 0, seed: 4 });
    assert_ne!(pixels(&*set.train, 0), pixels(&*other.train, 0));
    let labels: Vec<u32> = (0..12).map(|index| set.train.label(index)).collect();
    assert_eq!(labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
}

#[test]
fn mean_and_deviation_are_the_registered_ones() {
    let set = generate(Config { train: 2000, test: 0, ..Config::default() });
    let pictures = all(&*set.train).concat();
    for c in 0..3 {
        let values = || pictures.iter().skip(c).step_by(3).map(|&b| f64::from(b) / 255.0);
        let n = values().count() as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean - f64::from(SHAPES10.mean[c])).abs() < 0.01, "mean of channel {c} is {mean}");
        assert!((std - f64::from(SHAPES10.std[c])).abs() < 0.01, "deviation of channel {c} is {std}");
    }
}

/// Softmax regression on all 3072 pixels by SGD, the strongest of a few rates: what "linear classifier" means here.
fn linear_accuracy(set: &Dataset, epochs: usize, rate: f32) -> f32 {
    const INPUTS: usize = IMAGE;
    let pixel = |byte: u8| f32::from(byte) / 128.0 - 1.0;
    let mut weight = vec![0.0f32; 10 * INPUTS];
    let scores = |weight: &[f32], image: &[f32]| -> [f32; 10] {
        std::array::from_fn(|k| {
            weight[k * INPUTS..(k + 1) * INPUTS].iter().zip(image).map(|(w, x)| w * x).sum()
        })
    };
    for epoch in 0..epochs {
        for &i in &shuffled(set.train.len(), 0, epoch as u64, Rank::ONLY) {
            let image: Vec<f32> = pixels(&*set.train, i as usize).into_iter().map(pixel).collect();
            let scores = scores(&weight, &image);
            let top = scores.iter().fold(f32::MIN, |a, &b| a.max(b));
            let total: f32 = scores.iter().map(|s| (s - top).exp()).sum();
            for k in 0..10 {
                let target = f32::from(u8::from(set.train.label(i as usize) as usize == k));
                let step = rate * ((scores[k] - top).exp() / total - target);
                for (w, x) in weight[k * INPUTS..(k + 1) * INPUTS].iter_mut().zip(&image) {
                    *w -= step * x;
                }
            }
        }
    }
    let correct = (0..set.test.len()).filter(|&i| {
        let image: Vec<f32> = pixels(&*set.test, i).into_iter().map(pixel).collect();
        let scores = scores(&weight, &image);
        let best = (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).expect("ten classes");
        best == set.test.label(i) as usize
    });
    correct.count() as f32 / set.test.len() as f32
}

#[test]
fn a_linear_classifier_stays_under_60_percent() {
    let set = generate(Config { train: 3000, test: 1000, ..Config::default() });
    for rate in [1e-4, 1e-3] {
        let accuracy = linear_accuracy(&set, 3, rate);
        assert!(accuracy < 0.6, "{accuracy} with rate {rate}");
    }
}
