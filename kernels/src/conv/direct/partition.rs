//! How the work of a phase, pixels times columns (a group's panel each), is cut up among threads.

use crate::conv::tile::panels::Panels;
use crate::conv::window::Window;
use crate::threads::BLOCKS;

/// Bytes of feature maps that are worked on at a time: they stay in an L2 cache beside a panel of weights.
const BLOCK_BYTES: usize = 256 << 10;

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
    /// How many items are handed out of so many blocks and columns, if any are.
    pub fn handed_out(self, blocks: usize, columns: usize) -> Option<usize> {
        match self {
            Cut::Blocks => Some(blocks),
            Cut::Parts(parts) | Cut::Columns(parts) => Some(parts * columns),
            Cut::Fixed(_) => None,
        }
    }

    /// The column and the part of the block's pixels of an item, there being so many columns.
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
    /// The way that is expected to cost the busiest thread the least. Of several phases nothing is handed out: threads would
    /// wait for each other after each.
    pub fn new(window: &Window, panels: &Panels, groups: usize, threads: usize) -> Self {
        let alone = window.grid == window.out;
        let ways = (1..=threads).filter(|by| threads.is_multiple_of(*by));
        let ways = ways.map(|by_pixels| {
            let load = Load::new(window, panels, groups, [by_pixels, threads / by_pixels]);
            let way = if alone { load.cut(threads) } else { load.fixed() };
            (way, load.cost(way))
        });
        let best = ways.min_by_key(|way| way.1).map(|way| way.0);
        best.unwrap_or(Partition { cut: Cut::Fixed(threads), block: panels.shape.scalars })
    }
}

/// What the busiest thread has to do where the pixels are shared by some threads, the columns by the others.
struct Load {
    /// Threads that share the pixels, and those that share the columns.
    by: [usize; 2],
    /// Output pixels and columns of all threads, and pixels of a tile.
    pixels: usize,
    columns: usize,
    scalars: usize,
    /// Its output pixels.
    own: usize,
    /// Floats of its input and of its weights.
    read: usize,
    weights: usize,
    /// Its multiply-adds of vectors.
    products: usize,
    /// Pixels, at most, of a block that stays in a cache.
    fitting: usize,
}

impl Load {
    fn new(window: &Window, panels: &Panels, groups: usize, by: [usize; 2]) -> Self {
        let scalars = panels.shape.scalars;
        let (pixels, columns) = (window.pixels(), groups * panels.count());
        let own = pixels.div_ceil(by[0]);
        let input = window.images * window.input[0] * window.input[1] * window.channels;
        let weights = groups * panels.group_len() / by[1];
        let tiles = own.div_ceil(scalars) * columns.div_ceil(by[1]);
        // Weights that no cache holds are read anew with every block, which is then the better the larger.
        let bytes = if weights > CACHED_FLOATS { 4 * BLOCK_BYTES } else { BLOCK_BYTES };
        let pixel = window.channels * window.step[0] * window.step[1] + panels.channels * groups;
        Load {
            by,
            pixels,
            columns,
            scalars,
            own,
            read: input.min(pixels * panels.depth * groups) / by[0],
            weights,
            products: tiles * scalars * panels.shape.vectors * panels.depth,
            fitting: bytes / size_of::<f32>() / pixel,
        }
    }

    /// What is handed out so that each thread does about as much.
    fn cut(&self, threads: usize) -> Partition {
        let most = self.pixels.div_ceil(2 * self.scalars);
        let whole = self.pixels <= MAX_BLOCK && self.read * size_of::<f32>() <= MAP_BYTES;
        match self.by {
            [_, 1] if whole => {
                let parts = threads * BLOCKS.div_ceil(self.columns);
                self.blocks(Cut::Parts(parts.min(most)), self.pixels)
            }
            [1, _] if whole => {
                let parts = (threads * BLOCKS).div_ceil(self.columns);
                self.blocks(Cut::Columns(parts.min(most)), self.pixels)
            }
            [_, 1] => self.blocks(Cut::Blocks, self.fitting.min(self.own.div_ceil(BLOCKS))),
            _ => self.fixed(),
        }
    }

    /// Nothing is handed out.
    fn fixed(&self) -> Partition {
        self.blocks(Cut::Fixed(self.by[0]), self.fitting.min(self.own))
    }

    /// With blocks of about so many pixels.
    fn blocks(&self, cut: Cut, pixels: usize) -> Partition {
        Partition { cut, block: pixels.clamp(1, MAX_BLOCK).next_multiple_of(self.scalars) }
    }

    /// What a way of cutting costs the thread, in multiply-adds of vectors. Weights are fetched while others are multiplied,
    /// and cost little where there is time for that. What a map holds is in part in another thread's cache, and the first
    /// tiles wait for it. What is not handed out waits for the slowest thread.
    fn cost(&self, way: Partition) -> usize {
        let again = if self.weights > CACHED_FLOATS { self.own.div_ceil(way.block).max(1) } else { 1 };
        let weights = again * self.weights;
        let memory = (self.read + weights) * FLOAT_PRODUCTS;
        let waits = 2 * self.read + weights / 8;
        let uneven = if matches!(way.cut, Cut::Fixed(_)) { self.products / 8 } else { 0 };
        self.products.max(memory) + waits + uneven
    }
}
