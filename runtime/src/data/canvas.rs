//! A picture while random changes are made to it.

use std::ops::Range;

use super::edit::Edit;
use super::ops::{Interpolation, Operation};
use super::source::Picture;

/// Pixels, and which of them have been filled.
///
/// A filled pixel has no colour of its own: it becomes zero where the picture is normalised, that is the mean of the data set,
/// which no byte can say. Changes move filled pixels as they move others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canvas {
    size: [usize; 3],
    pixels: Vec<u8>,
    filled: Vec<bool>,
}

impl Canvas {
    /// Puts a picture on it, in place of what it had.
    pub fn load(&mut self, picture: &Picture<'_>) {
        self.size = picture.size();
        self.pixels.clear();
        self.pixels.extend_from_slice(picture.pixels());
        self.filled.clear();
        self.filled.resize(self.size[0] * self.size[1], false);
    }

    /// `[height, width, channels]`
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// `[height][width][channels]`; those of filled pixels are zero.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// `[height][width]`: whether a pixel has been filled.
    pub fn filled(&self) -> &[bool] {
        &self.filled
    }

    /// Makes a change.
    pub fn edit(&mut self, edit: &Edit) {
        let wide = |range: &Range<u32>| range.start as usize..range.end as usize;
        match edit {
            Edit::Keep => {}
            Edit::Shift { dy, dx } => self.shift(*dy as isize, *dx as isize),
            Edit::Reflect { dy, dx } => self.reflect(*dy as isize, *dx as isize),
            Edit::Operate(operation) => self.operate(*operation),
            Edit::Blend { keep, chains } => self.blend(*keep, chains),
            Edit::Mirror => self.mirror(),
            Edit::Upend => self.upend(),
            Edit::Fill { rows, columns } => self.fill(wide(rows), wide(columns)),
        }
    }

    /// `new[y][x] = old[y + dy][x + dx]`, filled where that lies beyond the border.
    pub fn shift(&mut self, dy: isize, dx: isize) {
        let [h, w, c] = self.size;
        let (rows, from_row) = overlap(h, dy);
        let (columns, from_column) = overlap(w, dx);
        let mut copy = |row: usize| {
            let from = (row - rows.start + from_row) * w + from_column;
            let to = row * w + columns.start;
            self.pixels.copy_within(from * c..(from + columns.len()) * c, to * c);
            self.filled.copy_within(from..from + columns.len(), to);
        };
        // A row is read before it is written.
        if dy >= 0 {
            rows.clone().for_each(&mut copy)
        } else {
            rows.clone().rev().for_each(&mut copy)
        }
        self.fill(0..rows.start, 0..w);
        self.fill(rows.end..h, 0..w);
        self.fill(rows.clone(), 0..columns.start);
        self.fill(rows, columns.end..w);
    }

    /// `new[y][x] = old[y + dy][x + dx]`, mirrored at the border where that lies beyond it.
    pub fn reflect(&mut self, dy: isize, dx: isize) {
        let [h, w, c] = self.size;
        let (pixels, filled) = (self.pixels.clone(), self.filled.clone());
        for y in 0..h {
            for x in 0..w {
                let (from, to) = (mirrored(y as isize + dy, h) * w + mirrored(x as isize + dx, w), y * w + x);
                self.pixels[to * c..(to + 1) * c].copy_from_slice(&pixels[from * c..(from + 1) * c]);
                self.filled[to] = filled[from];
            }
        }
    }

    /// Does an operation to the bytes. Filled pixels are black for it; they are filled where they are moved to.
    pub fn operate(&mut self, operation: Operation) {
        operation.apply(self.size, &mut self.pixels, Interpolation::Nearest);
        operation.move_filled(self.size, &mut self.filled);
        self.blacken();
    }

    /// Adds up the picture and chains of operations on it by their shares, without the sum's fraction. What is filled stays it.
    pub fn blend(&mut self, keep: f32, chains: &[(f32, Vec<Operation>)]) {
        let mut sums: Vec<f32> = self.pixels.iter().map(|&byte| keep * f32::from(byte)).collect();
        for (share, chain) in chains {
            let mut pixels = self.pixels.clone();
            chain
                .iter()
                .for_each(|operation| operation.apply(self.size, &mut pixels, Interpolation::Bilinear));
            sums.iter_mut().zip(pixels).for_each(|(sum, byte)| *sum += share * f32::from(byte));
        }
        self.pixels.iter_mut().zip(sums).for_each(|(byte, sum)| *byte = sum as u8);
        self.blacken();
    }

    /// Makes filled pixels black again.
    fn blacken(&mut self) {
        let pixels = self.pixels.chunks_exact_mut(self.size[2]);
        pixels.zip(&self.filled).filter(|(_, filled)| **filled).for_each(|(pixel, _)| pixel.fill(0));
    }

    /// Mirrors left to right.
    pub fn mirror(&mut self) {
        let [_, w, c] = self.size;
        for row in self.pixels.chunks_exact_mut(w * c) {
            for x in 0..w / 2 {
                let (left, right) = row.split_at_mut((w - 1 - x) * c);
                left[x * c..(x + 1) * c].swap_with_slice(&mut right[..c]);
            }
        }
        self.filled.chunks_exact_mut(w).for_each(<[bool]>::reverse);
    }

    /// Mirrors top to bottom.
    pub fn upend(&mut self) {
        let [h, w, c] = self.size;
        for row in 0..h / 2 {
            let (top, bottom) = self.pixels.split_at_mut((h - 1 - row) * w * c);
            top[row * w * c..(row + 1) * w * c].swap_with_slice(&mut bottom[..w * c]);
            let (top, bottom) = self.filled.split_at_mut((h - 1 - row) * w);
            top[row * w..(row + 1) * w].swap_with_slice(&mut bottom[..w]);
        }
    }

    /// Fills a rectangle, as far as it lies within the picture.
    pub fn fill(&mut self, rows: Range<usize>, columns: Range<usize>) {
        let [h, w, c] = self.size;
        let columns = columns.start.min(w)..columns.end.min(w);
        for row in rows.start..rows.end.min(h) {
            let pixels = row * w + columns.start..row * w + columns.end;
            self.pixels[pixels.start * c..pixels.end * c].fill(0);
            self.filled[pixels].fill(true);
        }
    }
}

/// The place within `0..len` that lies as far from the border, on this side of it, as `at` does on the other.
fn mirrored(at: isize, len: usize) -> usize {
    let last = len as isize - 1;
    let at = at.abs();
    (if at > last { 2 * last - at } else { at }).clamp(0, last) as usize
}

/// Targets within `0..len` whose source, `shift` further, lies there too, and the first of these sources.
fn overlap(len: usize, shift: isize) -> (Range<usize>, usize) {
    let by = shift.unsigned_abs().min(len);
    if shift >= 0 { (0..len - by, by) } else { (by..len, 0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture whose bytes all differ, without zero; some pixels filled.
    fn canvas(size: [usize; 3], filled: [usize; 2]) -> Canvas {
        let bytes: Vec<u8> = (1..=size.iter().product::<usize>() as u8).collect();
        let mut canvas = Canvas::default();
        canvas.load(&Picture::new(size, bytes));
        canvas.fill(filled[0]..filled[0] + 1, filled[1]..filled[1] + 2);
        canvas
    }

    /// The channels of a pixel; none where it is filled or beyond the border.
    fn pixel(canvas: &Canvas, y: isize, x: isize) -> Option<&[u8]> {
        let [h, w, c] = canvas.size();
        let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
        let at = inside.then(|| y as usize * w + x as usize).filter(|&at| !canvas.filled()[at])?;
        Some(&canvas.pixels()[at * c..(at + 1) * c])
    }

    proptest! {
        #[test]
        fn shifts_and_mirrors_move_every_pixel(
            (h, w, c) in (1usize..6, 1usize..7, 1usize..4),
            (dy, dx) in (-7isize..8, -8isize..9),
            filled in [0usize..6, 0usize..6],
        ) {
            let before = canvas([h, w, c], filled);
            let (mut shifted, mut mirrored, mut upended) = (before.clone(), before.clone(), before.clone());
            shifted.shift(dy, dx);
            mirrored.mirror();
            upended.upend();
            for y in 0..h as isize {
                for x in 0..w as isize {
                    prop_assert_eq!(pixel(&shifted, y, x), pixel(&before, y + dy, x + dx), "{} {}", y, x);
                    prop_assert_eq!(pixel(&mirrored, y, x), pixel(&before, y, w as isize - 1 - x));
                    prop_assert_eq!(pixel(&upended, y, x), pixel(&before, h as isize - 1 - y, x));
                }
            }
            mirrored.mirror();
            upended.upend();
            prop_assert_eq!(&mirrored, &before);
            prop_assert_eq!(upended, before);
        }
    }

    #[test]
    fn a_new_picture_leaves_nothing_of_the_one_before() {
        let mut used = canvas([3, 4, 3], [1, 1]);
        used.load(&Picture::new([2, 2, 1], vec![9; 4]));
        assert_eq!((used.size(), used.pixels(), used.filled()), ([2, 2, 1], &[9; 4][..], &[false; 4][..]));
    }
}
