//! Weights in the order that the tiles read them: `[group][panel][tap][channel read][channel written]`, a panel being as
//! many written channels as a tile has, the last one of a group rounded up to whole vectors and filled with zeros.

use super::shape::Shape;
use crate::simd::nearest_bf16;

/// How the written channels of one group are cut into panels.
#[derive(Debug, Clone, Copy)]
pub(in crate::conv) struct Panels {
    /// Tile shape.
    pub shape: Shape,
    /// Written channels of a group.
    pub channels: usize,
    /// Taps times read channels of a group: rows of a panel.
    pub depth: usize,
}

impl Panels {
    /// Panels of a group.
    pub fn count(self) -> usize {
        self.channels.div_ceil(self.shape.width())
    }

    /// Channels of panel `i`, and its vectors.
    pub fn size(self, i: usize) -> (usize, usize) {
        let width = (self.channels - i * self.shape.width()).min(self.shape.width());
        (width, width.div_ceil(self.shape.lanes))
    }

    /// First packed float of panel `i` of a group.
    pub fn offset(self, group: usize, i: usize) -> usize {
        group * self.group_len() + i * self.shape.width() * self.depth
    }

    /// Packed floats of a group.
    pub fn group_len(self) -> usize {
        self.channels.div_ceil(self.shape.lanes) * self.shape.lanes * self.depth
    }
}

/// Copies the channels of one panel, row by row, where they are contiguous: those written of a tap's weights, for the
/// forward convolution, or of pixels of a gradient.
///
/// # Safety
/// `from` points to the first row's channels of the panel, rows being `stride` apart; `to` to the packed rows,
/// `rows * padded` floats, `padded` being whole vectors.
pub(in crate::conv) unsafe fn copy_rows(
    from: *const f32,
    stride: usize,
    rows: usize,
    width: usize,
    padded: usize,
    to: *mut f32,
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(row * padded);
            from.add(row * stride).copy_to_nonoverlapping(to, width);
            to.add(width).write_bytes(0, padded - width);
        }
    }
}

/// Packs tap `tap` of one panel for the backward-data convolution, where the read channels are contiguous in the weights:
/// a transposition, in squares that stay in the L1 cache.
///
/// # Safety
/// As [`copy_rows`], but `from`'s rows are the panel's written channels, its columns the `reads` read ones.
pub(in crate::conv) unsafe fn transpose(
    from: *const f32,
    stride: usize,
    reads: usize,
    width: usize,
    padded: usize,
    to: *mut f32,
) {
    const SQUARE: usize = 16;
    for first in (0..reads).step_by(SQUARE) {
        let count = SQUARE.min(reads - first);
        for column in 0..width {
            // SAFETY: the caller's promise.
            unsafe {
                let from = from.add(column * stride + first);
                let to = to.add(first * padded + column);
                for i in 0..count {
                    to.add(i * padded).write(*from.add(i));
                }
            }
        }
        for row in first..first + count {
            // SAFETY: likewise.
            unsafe { to.add(row * padded + width).write_bytes(0, padded - width) };
        }
    }
}

/// As [`copy_rows`], each packed row being made of two, rounded to bf16: the first is the lower half.
///
/// # Safety
/// As [`copy_rows`], of `2 * rows` rows that are read.
pub(in crate::conv) unsafe fn pair_rows(
    from: *const f32,
    stride: usize,
    rows: usize,
    width: usize,
    padded: usize,
    to: *mut f32,
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (first, second) = (from.add(2 * row * stride), from.add((2 * row + 1) * stride));
            let to = to.add(row * padded);
            for column in 0..width {
                to.add(column).write(pair(*first.add(column), *second.add(column)));
            }
            to.add(width).write_bytes(0, padded - width);
        }
    }
}

/// As [`transpose`], each packed row being made of two columns, rounded to bf16.
///
/// # Safety
/// As [`transpose`], of `2 * reads` columns.
pub(in crate::conv) unsafe fn pair_columns(
    from: *const f32,
    stride: usize,
    reads: usize,
    width: usize,
    padded: usize,
    to: *mut f32,
) {
    for row in 0..reads {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(row * padded);
            for column in 0..width {
                let from = from.add(column * stride + 2 * row);
                to.add(column).write(pair(*from, *from.add(1)));
            }
            to.add(width).write_bytes(0, padded - width);
        }
    }
}

/// Two bf16 in the place of a float.
#[inline(always)]
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(nearest_bf16(low).to_bits() >> 16 | nearest_bf16(high).to_bits())
}
