//! Which pixels of a row or column a resized one is made of, and how much of each, as Pillow has it (`precompute_coeffs` and
//! `normalize_coeffs_8bpc` of its `Resample.c`).

use std::f64::consts::PI;

use resnetc_compiler::spec::preprocess::Interpolation;

/// Bits behind the point of a factor: sums of 8 bits more, with a sign and room for what overshoots, fit into 32 bits.
const FRACTION: u32 = 22;

/// What sums begin with, so that their whole part is rounded.
pub const HALF: i32 = 1 << (FRACTION - 1);

/// The byte of a sum.
pub fn byte(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

/// The factors of one direction.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    /// First pixel of each, and where its factors begin in `factors`.
    starts: Vec<[usize; 2]>,
    factors: Vec<i32>,
}

impl Taps {
    /// Puts the factors for another direction in place: `was` pixels become `is`.
    pub fn set(&mut self, was: usize, is: usize, interpolation: Interpolation) {
        self.starts.clear();
        self.factors.clear();
        match Filter::of(interpolation) {
            None => self.nearest(was, is),
            Some(filter) => self.filtered(was, is, filter),
        }
    }

    /// The first pixel of each, and its factors, of [`HALF`] times two at most in sum.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let ends = self.starts.iter().skip(1).map(|start| start[1]).chain([self.factors.len()]);
        self.starts.iter().zip(ends).map(|(&[first, from], to)| (first, &self.factors[from..to]))
    }

    /// A position is the sum of its steps, as in Pillow's `ImagingScaleAffine`, whose roundings decide where two pixels are as near.
    fn nearest(&mut self, was: usize, is: usize) {
        let step = was as f64 / is as f64;
        let mut position = 0.5 * step;
        for at in 0..is {
            self.starts.push([(position as usize).min(was - 1), at]);
            self.factors.push(1 << FRACTION);
            position += step;
        }
    }

    fn filtered(&mut self, was: usize, is: usize, filter: Filter) {
        let whole = f64::from(1 << FRACTION);
        let mut shares = Vec::new();
        for at in 0..is {
            let first = filter.shares(at, [was, is], &mut shares);
            self.starts.push([first, self.factors.len()]);
            self.factors.extend(shares.iter().map(|share| (share * whole).round() as i32));
        }
    }
}

/// The first pixel of each, and the shares of it and those behind it, 1 in sum: `was` pixels become `is` by a triangle, widened where they
/// become fewer.
pub fn bilinear(was: usize, is: usize) -> Vec<(usize, Vec<f64>)> {
    let filter = Filter { support: 1.0, share: triangle };
    let tap = |at: usize| {
        let mut shares = Vec::new();
        (filter.shares(at, [was, is], &mut shares), shares)
    };
    (0..is).map(tap).collect()
}

/// What a pixel counts, by its distance.
struct Filter {
    /// Distance from which on it is nothing.
    support: f64,
    share: fn(f64) -> f64,
}

impl Filter {
    /// `None` of the nearest pixel.
    fn of(interpolation: Interpolation) -> Option<Filter> {
        match interpolation {
            Interpolation::Nearest => None,
            Interpolation::Bilinear => Some(Filter { support: 1.0, share: triangle }),
            Interpolation::Bicubic => Some(Filter { support: 2.0, share: cubic }),
            Interpolation::Lanczos => Some(Filter { support: 3.0, share: lanczos }),
        }
    }

    /// The first pixel that counts for the one at `at`, where `was` pixels become `is`, and what it and those behind it count.
    fn shares(&self, at: usize, [was, is]: [usize; 2], shares: &mut Vec<f64>) -> usize {
        let scale = was as f64 / is as f64;
        let widened = scale.max(1.0);
        let support = self.support * widened;
        let center = (at as f64 + 0.5) * scale;
        // Casts cut off what is below nought.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(was);
        let narrowed = 1.0 / widened;
        let offset = |pixel: usize| (pixel as f64 - center + 0.5) * narrowed;
        shares.clear();
        shares.extend((first..end).map(|pixel| (self.share)(offset(pixel))));
        let sum: f64 = shares.iter().sum();
        if sum != 0.0 {
            shares.iter_mut().for_each(|share| *share /= sum);
        }
        first
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys 1981, with `a = -0.5`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// `sinc(x) sinc(x / 3)`
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_of_each_pixel_are_one_in_sum() {
        for (was, is) in [(7, 3), (3, 7), (1, 5), (5, 1), (500, 224), (224, 225)] {
            for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos] {
                let mut taps = Taps::default();
                taps.set(was, is, interpolation);
                assert_eq!(taps.iter().count(), is);
                for (first, factors) in taps.iter() {
                    let sum: i64 = factors.iter().map(|&factor| i64::from(factor)).sum();
                    // Each is rounded on its own.
                    assert!((sum - (1 << FRACTION)).abs() <= factors.len() as i64, "{was} to {is}: {sum}");
                    assert!(first + factors.len() <= was);
                }
            }
        }
    }

    #[test]
    fn halves_are_means_and_the_nearest_is_the_later_of_two() {
        let mut taps = Taps::default();
        taps.set(4, 2, Interpolation::Nearest);
        assert_eq!(taps.iter().map(|(first, _)| first).collect::<Vec<_>>(), [1, 3]);
        taps.set(2, 4, Interpolation::Bilinear);
        let quarters: Vec<Vec<i32>> =
            taps.iter().map(|(_, factors)| factors.iter().map(|f| f >> (FRACTION - 2)).collect()).collect();
        assert_eq!(quarters, [vec![4], vec![3, 1], vec![1, 3], vec![4]]);
    }
}
