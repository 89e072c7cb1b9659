//! Changes of pictures as data: made on a canvas by the CPU, or by a device that prepares batches itself.

use std::ops::Range;

use super::ops::Operation;

/// One change of a picture. It keeps the size.
///
/// A changed pixel is either one of the picture's or *filled*, so that a device may walk a list backwards, from a pixel of the result
/// to where it came from. What changes colours, or moves pixels between others, only a canvas does.
#[derive(Debug, Clone, PartialEq)]
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
    /// The same with the picture's own pixels, mirrored at the border, which is not repeated. It is moved by less than its size.
    Reflect {
        /// Rows.
        dy: i32,
        /// Columns.
        dx: i32,
    },
    /// Mirrored left to right.
    Mirror,
    /// Mirrored top to bottom.
    Upend,
    /// A filled rectangle, as far as it lies within the picture.
    Fill {
        /// From and to, the last not included.
        rows: Range<u32>,
        /// Likewise.
        columns: Range<u32>,
    },
    /// A canvas' own.
    Operate(Operation),
    /// Likewise: the picture and chains of operations on it, each with its share.
    Blend {
        /// The picture's.
        keep: f32,
        /// Those of the chains.
        chains: Vec<(f32, Vec<Operation>)>,
    },
}
