//! Random streams that need no state: every stream is a function of what it is for.
//!
//! ChaCha is counter-based, so a stream starts anywhere at no cost. The key is `(seed, purpose, epoch)`, the stream
//! number an index; what a worker thread draws for image 17 of epoch 3 does not depend on who drew what before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is drawn for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Order of the training images.
    Order = 1,
    /// Changes of one training image.
    Augment = 2,
    /// Pictures of `shapes10`, training split.
    TrainPicture = 3,
    /// Pictures of `shapes10`, test split.
    TestPicture = 4,
    /// How a training batch is mixed.
    Mix = 5,
    /// Which images alternating flips mirror in the first epoch.
    AlternatingFlip = 6,
    /// Which part of a training picture its image shows.
    Frame = 7,
}

/// A reproducible stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of these coordinates.
    pub fn new(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&epoch.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(index);
        Stream(rng)
    }

    /// Uniform in `0..n`, without bias (Lemire 2019: multiply, reject the short first interval).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "an empty range has no element to draw");
        let reject_below = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.0.next_u32()) * u64::from(n);
            if product as u32 >= reject_below {
                return (product >> 32) as u32;
            }
        }
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-24.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in `[lo, hi)`.
    pub fn range(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.unit()
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A direction, `[cos, sin]` of a uniform angle: a point of the unit disc over its length. No trigonometry, so the
    /// same bits on every machine.
    pub fn direction(&mut self) -> [f32; 2] {
        loop {
            let [x, y] = [self.range(-1.0, 1.0), self.range(-1.0, 1.0)];
            let square = x * x + y * y;
            if (0.01..=1.0).contains(&square) {
                let length = square.sqrt();
                return [x / length, y / length];
            }
        }
    }

    /// True that often.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_coordinates_differ() {
        let first = |purpose, epoch, index| Stream::new(5, purpose, epoch, index).below(u32::MAX);
        let base = first(Purpose::Augment, 1, 2);
        assert_eq!(base, first(Purpose::Augment, 1, 2));
        for other in
            [first(Purpose::Order, 1, 2), first(Purpose::Augment, 2, 2), first(Purpose::Augment, 1, 3)]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_stay_in_range() {
        let mut stream = Stream::new(0, Purpose::Augment, 0, 0);
        for _ in 0..10_000 {
            assert!(stream.below(3) < 3);
            assert!((0.0..1.0).contains(&stream.unit()));
            assert!((-2.0..5.0).contains(&stream.range(-2.0, 5.0)));
        }
        assert!(!stream.chance(0.0) && stream.chance(1.0));
    }
}
