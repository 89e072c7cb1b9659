//! Finished images made smaller: bilinear and antialiased, as PyTorch's `interpolate(mode="bilinear", antialias=True)`.

use resnetc_pictures::resize::bilinear;

/// For each pixel of a smaller side, the first one that counts and what it and those behind it count.
type Taps = Vec<(usize, Vec<f32>)>;

/// From images of one size to smaller ones. Each pixel is a mean of those around its place in the larger image, weighted by a triangle as
/// wide as two pixels of the smaller image; rows first, then columns. What images are made of, normalised colours and the zeros of what was
/// filled, it takes as plain numbers.
#[derive(Debug, Clone)]
pub struct Shrink {
    /// `[height, width, channels]`
    from: [usize; 3],
    to: [usize; 3],
    rows: Taps,
    columns: Taps,
}

impl Shrink {
    /// From `[height, width, channels]` to another `[height, width]`.
    pub fn new(from: [usize; 3], [height, width]: [usize; 2]) -> Self {
        let taps = |was: usize, is: usize| {
            let narrow = |shares: Vec<f64>| shares.iter().map(|&share| share as f32).collect();
            bilinear(was, is).into_iter().map(|(first, shares)| (first, narrow(shares))).collect()
        };
        let (rows, columns) = (taps(from[0], height), taps(from[1], width));
        Shrink { from, to: [height, width, from[2]], rows, columns }
    }

    /// `[height, width, channels]` of what it makes.
    pub fn size(&self) -> [usize; 3] {
        self.to
    }

    /// Puts the smaller images in place of what `to` has: `[n][height][width][channels]` both.
    pub fn apply(&self, images: &[f32], to: &mut Vec<f32>) {
        let [large, small] = [self.from, self.to].map(|size| size.iter().product::<usize>().max(1));
        to.clear();
        to.resize(images.len() / large * small, 0.0);
        let mut narrow = vec![0.0; self.from[0] * self.to[1] * self.to[2]];
        for (image, to) in images.chunks_exact(large).zip(to.chunks_exact_mut(small)) {
            self.narrowed(image, &mut narrow);
            self.lowered(&narrow, to);
        }
    }

    /// `[height][width][channels]` with rows of the smaller width.
    fn narrowed(&self, image: &[f32], to: &mut [f32]) {
        let channels = self.from[2];
        let (long, short) = (self.from[1] * channels, self.to[1] * channels);
        for (row, to) in image.chunks_exact(long).zip(to.chunks_exact_mut(short)) {
            for (to, (first, shares)) in to.chunks_exact_mut(channels).zip(&self.columns) {
                to.fill(0.0);
                for (pixel, share) in row[first * channels..].chunks_exact(channels).zip(shares) {
                    to.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += share * value);
                }
            }
        }
    }

    /// The smaller number of rows.
    fn lowered(&self, narrow: &[f32], to: &mut [f32]) {
        let length = self.to[1] * self.to[2];
        for (to, (first, shares)) in to.chunks_exact_mut(length).zip(&self.rows) {
            to.fill(0.0);
            for (row, share) in narrow[first * length..].chunks_exact(length).zip(shares) {
                to.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::{Purpose, Stream};

    /// The definition in double precision, both directions at once: `sum w(y) w(x) v / sum w(y) w(x)` with `w(d) = max(0, 1 - |d| / s)`,
    /// where `d` is the distance of two pixels' middles in pixels of the larger image and `s` how many of them one of the smaller has.
    fn oracle(image: &[f32], [h, w, c]: [usize; 3], [height, width]: [usize; 2]) -> Vec<f64> {
        let weight = |at: usize, from: usize, was: usize, is: usize| {
            let scale = was as f64 / is as f64;
            let distance = (from as f64 + 0.5) - (at as f64 + 0.5) * scale;
            (1.0 - distance.abs() / scale).max(0.0)
        };
        let mut out = Vec::new();
        for (y, x, channel) in places(height, width, c) {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (from_y, from_x, _) in places(h, w, 1) {
                let weight = weight(y, from_y, h, height) * weight(x, from_x, w, width);
                sum += weight * f64::from(image[(from_y * w + from_x) * c + channel]);
                weights += weight;
            }
            out.push(sum / weights);
        }
        out
    }

    fn places(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
    }

    #[test]
    fn a_pixel_is_the_weighted_mean_of_those_around_it() {
        let mut stream = Stream::new(7, Purpose::Augment, 0, 0);
        for (from, to) in
            [([8, 6, 3], [4, 3]), ([9, 7, 1], [4, 6]), ([32, 32, 3], [20, 12]), ([5, 4, 2], [1, 4])]
        {
            let len = from.iter().product::<usize>();
            let images: Vec<f32> = (0..2 * len).map(|_| stream.range(-2.0, 2.0)).collect();
            let mut small = vec![9.0; 3];
            Shrink::new(from, to).apply(&images, &mut small);
            let expected: Vec<f64> = images.chunks(len).flat_map(|image| oracle(image, from, to)).collect();
            assert_eq!(small.len(), expected.len());
            for (found, expected) in small.iter().zip(expected) {
                // Up to 16 taps a direction, each rounded as a share, a product and a sum, of values up to 2.
                let bound = 2.0 * 3.0 * 2.0 * 16.0 * f64::from(f32::EPSILON);
                assert!((f64::from(*found) - expected).abs() <= bound, "{found}, {expected}");
            }
        }
    }

    /// By hand: the border loses what would lie beyond it.
    #[test]
    fn a_ramp_is_halved() {
        let ramp: Vec<f32> = (0..8u8).map(f32::from).collect();
        let mut small = Vec::new();
        Shrink::new([1, 8, 1], [1, 4]).apply(&ramp, &mut small);
        // Weights 1/4 3/4 3/4 1/4; at the border 3/4 3/4 1/4.
        let expected = [5.0 / 7.0, 2.5, 4.5, 44.0 / 7.0];
        assert!(small.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{small:?}");
    }
}
