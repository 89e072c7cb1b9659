//! The random numbers of operators that drop things in training: functions of coordinates, without state.
//!
//! A number is `hash(seed, step, stream, index)`: what a run drops does not depend on threads, on the order of work, or on
//! what ran before, the backward pass draws the forward pass's numbers again, and a training that is resumed goes on bit
//! for bit. Per run and operator, `seed`, `step` and `stream` are mixed into a [`Key`] of two words by the finaliser of
//! SplitMix64 (Steele et al. 2014); per index, a 32-bit hash of two multiplications (the shifts and factors are those of
//! Wellons' `lowbias32`) takes one word at its start and one between the multiplications. Everything is 32 bits wide, so
//! loops over it vectorise. Indices `2^32` apart get the same number.

use resnetc_compiler::ir::op::DropPart;
use resnetc_compiler::plan::DropGeometry;

/// Where the numbers of one operator in one run start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    first: u32,
    second: u32,
}

impl Key {
    /// The key of these coordinates.
    pub fn new(seed: u64, step: u64, stream: u64) -> Self {
        let mixed = [seed, step, stream].into_iter().fold(0, |state, part| mix(state ^ mix(part)));
        Key { first: mixed as u32, second: (mixed >> 32) as u32 }
    }

    /// 32 random bits.
    #[inline(always)]
    pub fn bits(self, index: u32) -> u32 {
        let mut h = index.wrapping_add(self.first);
        h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
        h = (h ^ (h >> 15)).wrapping_add(self.second);
        h = (h ^ (h >> 16)).wrapping_mul(0x846c_a68b);
        h ^ (h >> 16)
    }

    /// True with the probability that `threshold` stands for.
    #[inline(always)]
    pub fn hits(self, index: usize, threshold: u32) -> bool {
        self.bits(index as u32) < threshold
    }
}

/// SplitMix64's step.
fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A probability as a share of all 32-bit numbers.
pub fn threshold(probability: f64) -> u32 {
    (probability * 2f64.powi(32)).round() as u32
}

/// Side of the squares that DropBlock drops, and the probability that a place starts one:
/// `rate * h * w / (size^2 * (h - size + 1) * (w - size + 1))` (Ghiasi et al. 2018, equation 1).
pub fn blocks(g: &DropGeometry, size: usize, rate: f32) -> (usize, f64) {
    let size = size.min(g.h).min(g.w);
    let places = ((g.h - size + 1) * (g.w - size + 1)) as f64;
    let share = (g.h * g.w) as f64 / ((size * size) as f64 * places);
    (size, (f64::from(rate) * share).min(1.0))
}

/// What every element is multiplied with, in the order `[n][h][w][c]`: straight from the definition, for the slow devices
/// and for tests.
pub fn factors(g: &DropGeometry, part: DropPart, rate: f32, key: Key) -> Vec<f64> {
    let per_image = g.h * g.w * g.c;
    let limit = threshold(f64::from(rate));
    let kept = 1.0 / (1.0 - f64::from(rate));
    let factor = |hit: bool| if hit { 0.0 } else { kept };
    match part {
        DropPart::Element => (0..g.n * per_image).map(|i| factor(key.hits(i, limit))).collect(),
        DropPart::Image => (0..g.n * per_image).map(|i| factor(key.hits(i / per_image, limit))).collect(),
        DropPart::Block { size } => block_factors(g, size, rate, key),
    }
}

fn block_factors(g: &DropGeometry, size: usize, rate: f32, key: Key) -> Vec<f64> {
    let (size, probability) = blocks(g, size, rate);
    let limit = threshold(probability);
    let at = |image: usize, y: usize, x: usize, c: usize| ((image * g.h + y) * g.w + x) * g.c + c;
    // An element is dropped when a square that starts up to `size - 1` before it holds it.
    let dropped = |i: usize| {
        let (c, x, y, image) = (i % g.c, i / g.c % g.w, i / (g.c * g.w) % g.h, i / (g.c * g.w * g.h));
        let starts = |end: usize, len: usize| end.saturating_sub(size - 1)..=end.min(len - size);
        starts(y, g.h).any(|y| starts(x, g.w).any(|x| key.hits(at(image, y, x, c), limit)))
    };
    let keeps: Vec<bool> = (0..g.n * g.h * g.w * g.c).map(|i| !dropped(i)).collect();
    let left = keeps.iter().filter(|&&kept| kept).count();
    let scale = keeps.len() as f64 / left.max(1) as f64;
    keeps.into_iter().map(|kept| if kept { scale } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: DropGeometry = DropGeometry { n: 64, h: 12, w: 10, c: 16 };

    fn key(step: u64, stream: u64) -> Key {
        Key::new(7, step, stream)
    }

    fn dropped(factors: &[f64]) -> f64 {
        factors.iter().filter(|&&f| f == 0.0).count() as f64 / factors.len() as f64
    }

    #[test]
    fn the_wanted_share_is_dropped_and_the_mean_stays() {
        for (part, tolerance) in [(DropPart::Element, 0.01), (DropPart::Block { size: 5 }, 0.02)] {
            for rate in [0.1, 0.3] {
                let factors = factors(&G, part, rate, key(3, 11));
                // Squares overlap, so a little less than the rate is dropped.
                let share = dropped(&factors);
                assert!(share < f64::from(rate) + tolerance, "{part:?} {rate}: {share}");
                assert!(share > f64::from(rate) * 0.8 - tolerance, "{part:?} {rate}: {share}");
                let mean = factors.iter().sum::<f64>() / factors.len() as f64;
                assert!((mean - 1.0).abs() < tolerance, "{part:?} {rate}: {mean}");
            }
        }
        let images = DropGeometry { n: 10_000, h: 1, w: 1, c: 1 };
        assert!((dropped(&factors(&images, DropPart::Image, 0.2, key(0, 5))) - 0.2).abs() < 0.02);
    }

    #[test]
    fn an_image_is_dropped_whole() {
        let per_image = G.h * G.w * G.c;
        let factors = factors(&G, DropPart::Image, 0.5, key(1, 1));
        for image in factors.chunks_exact(per_image) {
            assert!(image.iter().all(|f| *f == image[0]));
        }
        assert!(factors.contains(&0.0) && factors.contains(&2.0));
    }

    /// Correlation of the hits of two keys, or of one with itself some places later, in units of its deviation by chance.
    fn correlation(a: Key, b: Key, lag: usize) -> f64 {
        const COUNT: usize = 1 << 18;
        let half = threshold(0.5);
        let same = (0..COUNT).filter(|&i| a.hits(i, half) == b.hits(i + lag, half)).count();
        (same as f64 - COUNT as f64 / 2.0) / (COUNT as f64 / 4.0).sqrt()
    }

    #[test]
    fn steps_streams_seeds_and_neighbours_are_independent() {
        let base = key(4, 9);
        let other_seed = Key::new(8, 4, 9);
        for other in [key(5, 9), key(4, 10), key(9, 4), other_seed] {
            assert!(correlation(base, other, 0).abs() < 5.0, "{other:?}");
        }
        for lag in [1, 2, 16, 64, 4096] {
            assert!(correlation(base, base, lag).abs() < 5.0, "lag {lag}");
        }
    }
}
