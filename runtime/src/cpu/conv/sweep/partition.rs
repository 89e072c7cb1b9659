//! How the work of a sweep, pixels times columns (a group's panel each), is cut up among threads.

use crate::cpu::conv::pack::Panels;
use crate::cpu::conv::window::Window;
use crate::cpu::conv::{BLOCK_BYTES, BLOCKS};

/// Most pixels whose row pointers are made at a time.
const MAX_BLOCK: usize = 384;

/// Bytes of a map that a second-level cache keeps from column to column, beside their weights.
const MAP_BYTES: usize = 1 << 20;

/// Floats of weights that a second-level cache holds beside a block.
const CACHED_FLOATS: usize = 128 << 10;

/// Multiply-adds of vectors in the time that a float takes to come from memory.
const FLOAT_PRODUCTS: usize = 2;

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Blocks of pixels are handed out, each with all columns.
    Blocks,
    /// The map is one block. What is handed out is a part of its pixels and a column: part by part, so that threads begin with
    /// pixels of their own in every layer of a network.
    Parts(usize),
    /// The same column by column, so that threads begin with weights of their own.
    Columns(usize),
    /// So many threads share the pixels, the others the columns.
    Fixed(usize),
}

impl Cut {
    /// How many threads share the pixels where nothing is handed out.
    pub fn pixel_threads(self, threads: usize) -> usize {
        match self {
            Cut::Blocks | Cut::Parts(_) => threads,
            Cut::Columns(_) => 1,
            Cut::Fixed(by_pixels) => by_pixels,
        }
    }

    /// The column and the part of the pixels of an item that is handed out, there being so many columns.
    pub fn item(self, item: usize, columns: usize) -> [usize; 2] {
        match self {
            Cut::Parts(_) => [item % columns, item / columns],
            Cut::Columns(parts) => [item / parts, item % parts],
            Cut::Blocks | Cut::Fixed(_) => [item, 0],
        }
    }

    /// Parts of a block's pixels.
    pub fn parts(self) -> usize {
        match self {
            Cut::Parts(parts) | Cut::Columns(parts) => parts,
            Cut::Blocks | Cut::Fixed(_) => 1,
        }
    }
}

/// One way of cutting up the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partition {
    /// Who does what.
    pub cut: Cut,
    /// Pixels whose row pointers are made at a time, to be multiplied with a thread's columns: a multiple of the tile's.
    pub block: usize,
}

impl Partition {
    /// The way that is expected to cost the busiest thread the least.
    pub fn new(window: &Window, panels: &Panels, groups: usize, threads: usize) -> Self {
        let ways = (1..=threads).filter(|by| threads.is_multiple_of(*by));
        let ways = ways.map(|by_pixels| Self::of(window, panels, groups, threads, by_pixels));
        let best = ways.min_by_key(|way| way.1).map(|way| way.0);
        best.unwrap_or(Partition { cut: Cut::Fixed(threads), block: panels.shape.scalars })
    }

    /// The way in which so many threads share the pixels, the others the columns; and its cost, in multiply-adds of vectors.
    fn of(
        window: &Window,
        panels: &Panels,
        groups: usize,
        threads: usize,
        by_pixels: usize,
    ) -> (Self, usize) {
        let scalars = panels.shape.scalars;
        let (pixels, columns) = (window.pixels(), groups * panels.count());
        let (own, by_columns) = (pixels.div_ceil(by_pixels), threads / by_pixels);
        let input = window.images * window.input[0] * window.input[1] * window.channels;
        let read = input.min(pixels * panels.depth * groups) / by_pixels;
        let weights = groups * panels.group_len() / by_columns;
        let tiles = own.div_ceil(scalars) * columns.div_ceil(by_columns);
        let products = tiles * scalars * panels.shape.vectors * panels.depth;

        let whole = pixels <= MAX_BLOCK && read * size_of::<f32>() <= MAP_BYTES;
        // Weights that no cache holds are read anew with every block, which is then the better the larger.
        let streamed = weights > CACHED_FLOATS;
        let pixel = window.channels * window.step[0] * window.step[1] + panels.channels * groups;
        let fitting = if streamed { 4 * BLOCK_BYTES } else { BLOCK_BYTES } / size_of::<f32>() / pixel;
        let even = if by_columns == 1 { own.div_ceil(BLOCKS) } else { own };
        let most = pixels.div_ceil(2 * scalars);
        let (cut, block) = match (whole, by_pixels) {
            (true, by) if by == threads => {
                (Cut::Parts((threads * BLOCKS.div_ceil(columns)).min(most)), pixels)
            }
            (true, 1) => (Cut::Columns((threads * BLOCKS).div_ceil(columns).min(most)), pixels),
            (_, by) if by == threads => (Cut::Blocks, even.min(fitting)),
            (_, by) => (Cut::Fixed(by), even.min(fitting)),
        };
        let block = block.clamp(1, MAX_BLOCK).next_multiple_of(scalars);
        let again = if streamed && block < own { own.div_ceil(block) } else { 1 };

        // Weights are fetched while others are multiplied, and cost little where there is time for that. What a map holds is
        // in part in another thread's cache, and the first tiles wait for it. What is not handed out waits for the slowest
        // thread.
        let memory = (read + again * weights) * FLOAT_PRODUCTS;
        let waits = (4 * read + again * weights) / 8;
        let uneven = if matches!(cut, Cut::Fixed(_)) { products / 8 } else { 0 };
        (Partition { cut, block }, products.max(memory) + waits + uneven)
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;
    use crate::cpu::conv::Convolution;
    use crate::cpu::conv::tests::{geometry, square};
    use crate::cpu::isa::Isa;

    /// What costs a layer of ResNet-50 on two threads: where maps are large, or as large as weights, threads have their own
    /// pixels; where weights are larger, their own weights.
    #[test]
    fn layers_are_cut_by_what_is_larger() {
        let cut = |size: usize, [reads, writes]: [usize; 2], attrs, threads| {
            let g = geometry(1, [size; 2], [reads, writes], attrs).unwrap();
            Convolution::forward(g, Isa::Portable, threads).unwrap().sweeps[0].partition.cut
        };
        let unit = |stride| square(1, stride, 0, 1);
        assert_eq!(cut(28, [512, 128], unit(1), 2), Cut::Blocks);
        assert!(matches!(cut(14, [1024, 256], unit(1), 2), Cut::Parts(_)));
        assert!(matches!(cut(28, [256, 256], square(3, 2, 1, 1), 2), Cut::Parts(_)));
        assert!(matches!(cut(7, [2048, 512], unit(1), 2), Cut::Columns(_)));
        assert!(matches!(cut(14, [1024, 2048], unit(2), 2), Cut::Columns(_)));
        // A linear layer has one pixel.
        assert!(matches!(cut(1, [2048, 1000], unit(1), 4), Cut::Columns(1)));
        // Alone, a thread has both.
        assert_eq!(cut(14, [1024, 256], unit(1), 1), Cut::Parts(1));
    }
}
