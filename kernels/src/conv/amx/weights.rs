//! Weights as tiles of `B`: `[phase][group of two tiles of written channels][block of depth][term][tile]`.

use super::element::pair_rows;
use super::map::Map;
use super::split::pair_columns;
use super::tiles::{DEPTH, SIDE, TILE_BYTES};
use crate::conv::problem::Operation;

/// Channels of a group: two tiles.
pub const GROUP: usize = 2 * SIDE;

/// 32 factors of an output pixel that lie side by side in the copied map.
#[derive(Debug, Clone)]
struct Block {
    /// Kernel row.
    row: usize,
    /// Kernel columns of its run, as they lie in the map.
    cols: Vec<usize>,
    /// First factor in the run: column by column, channel by channel.
    first: usize,
}

/// The weights that the outputs of one phase are multiplied by.
#[derive(Debug, Clone)]
pub struct Taps {
    blocks: Vec<Block>,
    /// For each block, where its factors lie in the copy, in bytes from those of the first tap.
    pub offsets: Vec<isize>,
    /// First byte of the packed weights.
    pub packed: usize,
}

/// Where the pixels of a band lie in its copy.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Elements from pixel to pixel: the channels, or a few more where rows of tiles would otherwise meet in one set of the
    /// first-level cache.
    pub pixel: usize,
    /// Rows of one residue modulo the step.
    pub rows: usize,
    /// Elements from term to term.
    pub term: usize,
}

impl Layout {
    /// Element where row `row` of the copy begins.
    pub fn row(&self, map: &Map, row: usize) -> usize {
        let step = map.rows.step;
        ((row % step * self.rows) + row / step) * map.cols.pitch * self.pixel
    }
}

impl Taps {
    /// The taps of phase `phase` (row, column) of a map, whose packed weights begin at byte `packed`.
    pub fn new(map: &Map, layout: &Layout, phase: [usize; 2], packed: usize) -> Self {
        let cols = &map.cols.phases[phase[1]];
        let adjacent = cols.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1);
        let run = if adjacent && layout.pixel == map.channels { cols.len().max(1) } else { 1 };
        let (mut blocks, mut offsets) = (Vec::new(), Vec::new());
        for &(row, below) in &map.rows.phases[phase[0]] {
            for cols in cols.chunks(run) {
                let begin = layout.row(map, below) + cols[0].1 * layout.pixel;
                for first in (0..cols.len() * map.channels).step_by(DEPTH) {
                    blocks.push(Block { row, cols: cols.iter().map(|c| c.0).collect(), first });
                    offsets.push(((begin + first) * size_of::<u16>()) as isize);
                }
            }
        }
        Taps { blocks, offsets, packed }
    }

    /// Blocks of depth.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of the packed weights of `channels` written channels.
    pub fn bytes(&self, channels: usize, terms: usize) -> usize {
        self.blocks.len() * terms * channels.div_ceil(SIDE) * TILE_BYTES
    }

    /// First byte of group `group`.
    pub fn group(&self, group: usize, terms: usize) -> usize {
        self.packed + group * self.blocks.len() * terms * 2 * TILE_BYTES
    }
}

/// Weights as the graph has them: `[kernel row][kernel column][cin][cout]`.
#[derive(Clone, Copy)]
pub struct Weights {
    pub first: *const f32,
    /// Kernel columns.
    pub cols: usize,
    pub cin: usize,
    pub cout: usize,
    pub(in crate::conv) operation: Operation,
}

impl Weights {
    /// Channels read, and channels written.
    fn channels(&self) -> [usize; 2] {
        match self.operation {
            Operation::Forward => [self.cin, self.cout],
            Operation::BackwardData => [self.cout, self.cin],
        }
    }

    /// Packs block `index` of group `group` of some taps into `packed`, which begins where those of all phases do.
    ///
    /// # Safety
    /// AMX is there; the weights and the packed weights are as long as their sizes say.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn pack<const TERMS: usize>(&self, taps: &Taps, group: usize, index: usize, packed: *mut u8) {
        let [reads, writes] = self.channels();
        let block = &taps.blocks[index];
        let tiles = (writes - group * GROUP).div_ceil(SIDE).min(2);
        // The run's factor `at`, for the written channel `channel`.
        let factor = |at: usize, channel: usize| {
            let at = block.first + at;
            let (&col, read) = (block.cols.get(at / reads)?, at % reads);
            let tap = (block.row * self.cols + col) * self.cin * self.cout;
            Some(self.first.wrapping_add(match self.operation {
                Operation::Forward => tap + read * self.cout + channel,
                Operation::BackwardData => tap + channel * self.cout + read,
            }))
        };
        for tile in 0..tiles {
            let channel = group * GROUP + tile * SIDE;
            let width = SIDE.min(writes - channel);
            let at = taps.group(group, TERMS) + (index * TERMS * tiles + tile) * TILE_BYTES;
            let term = tiles * TILE_BYTES / size_of::<u16>();
            // SAFETY: inside of the packed weights by the caller's promise; `factor` stays inside of the weights.
            unsafe {
                let to = packed.add(at).cast::<u16>();
                match self.operation {
                    Operation::Forward => {
                        let rows = std::array::from_fn(|i| factor(i, channel).unwrap_or(std::ptr::null()));
                        pair_rows::<TERMS, f32>(&rows, width, to, term);
                    }
                    Operation::BackwardData if width == SIDE && block.first % reads + DEPTH <= reads => {
                        let first = factor(0, channel).expect("a block begins in its run");
                        pair_columns::<TERMS>(first, self.cout, to, term);
                    }
                    Operation::BackwardData => {
                        let mut columns = [0.0; SIDE * DEPTH];
                        for (i, column) in columns.chunks_exact_mut(DEPTH).enumerate().take(width) {
                            for (at, value) in column.iter_mut().enumerate() {
                                *value = factor(at, channel + i).map_or(0.0, |from| *from);
                            }
                        }
                        pair_columns::<TERMS>(columns.as_ptr(), DEPTH, to, term);
                    }
                }
            }
        }
    }
}
