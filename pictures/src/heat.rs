//! A map of weights laid over a picture: what a network looked at.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};
use crate::picture::Picture;

/// Weights over a picture, `[rows][columns]`, of any size.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

/// Share of the colours in the picture that comes out; the rest is the picture's.
const OPACITY: f32 = 0.5;

impl HeatMap {
    /// Of `[rows][columns]` weights. Those below zero count as zero, and the largest as one; where none is above zero, all are zero.
    ///
    /// # Panics
    /// Where they are not that many, or none.
    pub fn new(rows: usize, columns: usize, mut values: Vec<f32>) -> Self {
        assert!(!values.is_empty() && values.len() == rows * columns, "a weight for each cell");
        let largest = values.iter().copied().fold(0.0, f32::max);
        let scale = if largest > 0.0 && largest.is_finite() { largest.recip() } else { 0.0 };
        values.iter_mut().for_each(|value| *value = (value.max(0.0) * scale).min(1.0));
        HeatMap { rows, columns, values }
    }

    /// `[rows, columns]`
    pub fn size(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Weights in `0..=1`, `[rows][columns]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The weight at a place of the picture, both coordinates in `0..1`: linear between the cells' middles.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (left, right, across) = neighbours(x, self.columns);
        let (above, below, down) = neighbours(y, self.rows);
        let row = |row: usize| {
            let cells = &self.values[row * self.columns..];
            cells[left] * (1.0 - across) + cells[right] * across
        };
        row(above) * (1.0 - down) + row(below) * down
    }

    /// The picture with the weights as colours over it, from blue (0) by green to red (1).
    pub fn over(&self, picture: &Picture) -> Picture {
        let (width, height) = (picture.width(), picture.height());
        let mut pixels = picture.pixels().to_vec();
        for (index, pixel) in pixels.chunks_exact_mut(Picture::CHANNELS).enumerate() {
            let x = ((index % width) as f32 + 0.5) / width as f32;
            let y = ((index / width) as f32 + 0.5) / height as f32;
            for (byte, colour) in pixel.iter_mut().zip(colour(self.at(x, y))) {
                let mixed = f32::from(*byte) * (1.0 - OPACITY) + colour * 255.0 * OPACITY;
                *byte = mixed.round() as u8;
            }
        }
        Picture::new(width, height, pixels)
    }
}

/// The cells on both sides of a place in `0..1`, and how far it is from the first one to the second.
fn neighbours(place: f32, cells: usize) -> (usize, usize, f32) {
    let last = cells - 1;
    let exact = (place * cells as f32 - 0.5).clamp(0.0, last as f32);
    let first = (exact.floor() as usize).min(last);
    (first, (first + 1).min(last), exact - first as f32)
}

/// Blue, cyan, green, yellow, red: linear between them.
fn colour(weight: f32) -> [f32; 3] {
    let ramp = |middle: f32| (1.5 - (4.0 * weight - middle).abs()).clamp(0.0, 1.0);
    [ramp(3.0), ramp(2.0), ramp(1.0)]
}

/// A picture as the bytes of a PNG file.
///
/// # Errors
/// Where it is larger than a PNG may be.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    let sides = [picture.width(), picture.height()].map(u32::try_from);
    let [Ok(width), Ok(height)] = sides else {
        return Err(Error::TooLarge("a PNG has sides that 32 bits count".to_owned()));
    };
    let image = RgbImage::from_raw(width, height, picture.pixels().to_vec());
    let image = image.expect("a picture has three bytes a pixel");
    let mut bytes = Cursor::new(Vec::new());
    let written = image.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Error::TooLarge(format!("no PNG can be made of it: {error}")))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode};

    #[test]
    fn the_largest_weight_is_one_and_none_is_below_zero() {
        let map = HeatMap::new(1, 3, vec![-2.0, 1.0, 4.0]);
        assert_eq!(map.values(), [0.0, 0.25, 1.0]);
        assert_eq!(HeatMap::new(1, 2, vec![-2.0, -1.0]).values(), [0.0, 0.0]);
        assert_eq!(HeatMap::new(1, 2, vec![f32::INFINITY, 1.0]).values().len(), 2);
    }

    #[test]
    fn weights_lie_where_their_cells_are() {
        let mut values = vec![0.0; 16];
        values[4 + 2] = 1.0;
        let map = HeatMap::new(4, 4, values);
        let picture = Picture::new(64, 64, vec![0; 64 * 64 * 3]);
        let over = map.over(&picture);
        let pixel = |x: usize, y: usize| {
            let at = (y * 64 + x) * 3;
            [over.pixels()[at], over.pixels()[at + 1], over.pixels()[at + 2]]
        };
        // The middle of the third cell of the second row.
        let [red, _, blue] = pixel(40, 24);
        assert!(red > 60 && blue < 10, "{red} {blue}");
        assert_eq!(pixel(4, 60), [0, 0, 64], "cold");
        let read = decode(&png(&over).expect("small"), &Limits::default()).expect("a PNG");
        assert_eq!(read, over);
    }
}
