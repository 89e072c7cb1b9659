//! Random changes as data: drawn from a stream, then made on a canvas by the CPU, or by a device that prepares batches itself.

use std::ops::Range;

use resnetc_compiler::spec::train::Augment;

use super::rng::Stream;

/// One change of a picture. It keeps the size.
///
/// A changed pixel is either one of the picture's or *filled*, so that a device may walk a list backwards, from a pixel of the result
/// to where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Keep,
    /// `new[y][x] = old[y + dy][x + dx]`, filled where that lies beyond the border.
    Shift {
        /// Rows.
        dy: i32,
        /// Columns.
        dx: i32,
    },
    /// Mirrored left to right.
    Mirror,
    /// A filled rectangle, as far as it lies within the picture.
    Fill {
        /// From and to, the last not included.
        rows: Range<u32>,
        /// Likewise.
        columns: Range<u32>,
    },
}

/// Draws one edit for each change, for a picture of that height and width. What is drawn does not depend on the picture, its size apart.
pub fn draw(changes: &[Augment], [height, width]: [usize; 2], stream: &mut Stream, edits: &mut Vec<Edit>) {
    edits.extend(changes.iter().map(|change| match *change {
        // Made before all others, when the picture gets the size of the image.
        Augment::RandomResizedCrop { .. } => Edit::Keep,
        Augment::Crop { padding } => crop(stream, padding),
        Augment::Flip { probability } => match stream.chance(probability) {
            true => Edit::Mirror,
            false => Edit::Keep,
        },
        Augment::Cutout { size } => cutout(stream, size, [height, width]),
    }));
}

/// A window of the picture's size, out of the picture with that many filled pixels around it.
fn crop(stream: &mut Stream, padding: usize) -> Edit {
    let mut shift = || stream.below(2 * padding as u32 + 1) as i32 - padding as i32;
    let (dy, dx) = (shift(), shift());
    Edit::Shift { dy, dx }
}

/// A filled square of that side around a random centre, cut at the border (DeVries and Taylor 2017).
fn cutout(stream: &mut Stream, side: usize, [height, width]: [usize; 2]) -> Edit {
    let mut span = |len: usize| {
        let centre = stream.below(len as u32) as usize;
        centre.saturating_sub(side / 2) as u32..(centre + side - side / 2) as u32
    };
    let (rows, columns) = (span(height), span(width));
    Edit::Fill { rows, columns }
}
