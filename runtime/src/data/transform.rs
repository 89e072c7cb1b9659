//! From the bytes of an image to the network's input: normalised, in training randomly changed.

use resnetc_compiler::spec::train::{Augment, Normalize};

use super::rng::{Purpose, Stream};
use crate::error::{Error, Result};

/// Normalisation and augmentation of images of one size.
#[derive(Debug, Clone)]
pub struct Transform {
    /// `[height, width, channels]`.
    size: [usize; 3],
    /// `[channel][byte]`: `(byte / 255 - mean) / std`.
    table: Vec<[f32; 256]>,
    augment: Vec<Augment>,
    seed: u64,
}

impl Transform {
    /// Normalises, and changes randomly by `augment`, in its order, from streams of `seed`.
    ///
    /// # Errors
    /// [`Error::Data`] where the normalisation has not one value per channel.
    pub fn new(size: [usize; 3], normalize: &Normalize, augment: &[Augment], seed: u64) -> Result<Self> {
        let Normalize { mean, std } = normalize;
        if mean.len() != size[2] || std.len() != size[2] {
            return Err(Error::Data(format!(
                "normalisation has {} means and {} deviations, the images have {} channels",
                mean.len(),
                std.len(),
                size[2]
            )));
        }
        let table = mean
            .iter()
            .zip(std)
            .map(|(mean, std)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std))
            .collect();
        Ok(Transform { size, table, augment: augment.to_vec(), seed })
    }

    /// Elements of one image.
    pub fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether images have no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes image `index` of that epoch into `out`, `[height][width][channels]`. `scratch` has the same length.
    pub fn apply(&self, bytes: &[u8], epoch: usize, index: usize, out: &mut [f32], scratch: &mut [f32]) {
        self.normalize(bytes, out);
        if self.augment.is_empty() {
            return;
        }
        let mut stream = Stream::new(self.seed, Purpose::Augment, epoch as u64, index as u64);
        for augment in &self.augment {
            match *augment {
                Augment::Crop { padding } => {
                    let mut shift = || stream.below(2 * padding as u32 + 1) as isize - padding as isize;
                    let (dy, dx) = (shift(), shift());
                    scratch.copy_from_slice(out);
                    crop(self.size, scratch, dy, dx, out);
                }
                Augment::Flip { probability } => {
                    if stream.chance(probability) {
                        flip(self.size, out);
                    }
                }
                Augment::Cutout { size } => {
                    let y = stream.below(self.size[0] as u32) as usize;
                    let x = stream.below(self.size[1] as u32) as usize;
                    cutout(self.size, out, y, x, size);
                }
            }
        }
    }

    fn normalize(&self, bytes: &[u8], out: &mut [f32]) {
        let channels = self.size[2];
        for (pixel, out) in bytes.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for ((byte, table), out) in pixel.iter().zip(&self.table).zip(out) {
                *out = table[usize::from(*byte)];
            }
        }
    }
}

/// `out[y][x] = image[y + dy][x + dx]`, zero beyond the border.
fn crop([h, w, c]: [usize; 3], image: &[f32], dy: isize, dx: isize, out: &mut [f32]) {
    out.fill(0.0);
    let (rows, from_row) = overlap(h, dy);
    let (columns, from_column) = overlap(w, dx);
    for y in rows.clone() {
        let source = ((y - rows.start + from_row) * w + from_column) * c;
        let target = (y * w + columns.start) * c;
        let len = columns.len() * c;
        out[target..target + len].copy_from_slice(&image[source..source + len]);
    }
}

/// Targets within `0..len` whose source, `shift` further, lies there too, and the first of these sources.
fn overlap(len: usize, shift: isize) -> (std::ops::Range<usize>, usize) {
    let by = shift.unsigned_abs().min(len);
    if shift >= 0 { (0..len - by, by.min(len)) } else { (by..len, 0) }
}

/// Mirrors left to right.
fn flip([h, w, c]: [usize; 3], image: &mut [f32]) {
    for row in image.chunks_exact_mut(w * c).take(h) {
        for x in 0..w / 2 {
            let (left, right) = row.split_at_mut((w - 1 - x) * c);
            left[x * c..(x + 1) * c].swap_with_slice(&mut right[..c]);
        }
    }
}

/// Zeroes the square of that side around `(y, x)`, as far as it lies within the image.
fn cutout([h, w, c]: [usize; 3], image: &mut [f32], y: usize, x: usize, side: usize) {
    let span = |centre: usize, len: usize| {
        let first = centre.saturating_sub(side / 2);
        let end = (centre + side - side / 2).min(len);
        first..end
    };
    let columns = span(x, w);
    for row in span(y, h) {
        image[(row * w + columns.start) * c..(row * w + columns.end) * c].fill(0.0);
    }
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
