//! What a convolution on AMX reads, multiplies and writes, band by band: what sizes decide.

use resnetc_compiler::plan::ConvGeometry;

use super::map::{Axis, Map};
use super::split::Split;
use super::tiles::{DEPTH, SIDE, TILE_BYTES};
use super::weights::{GROUP, Layout, Taps};
use crate::conv::problem::Operation;
use crate::conv::window::{Tap, phase_taps};

/// Bytes of a band's copy, least and most: as many as the weights, so that what is read again for each band stays in the
/// second-level cache, and no more than do so beside a group of weights.
const BAND_BYTES: [usize; 2] = [192 << 10, 768 << 10];

/// Sums that are held in registers, 2 x 2 or 4 x 1 tiles.
pub const SQUARE: usize = 4 * SIDE * SIDE;

/// Sums in memory: those that are being finished, and those that come next.
pub const SUMS: usize = 2 * SQUARE;

/// One dense grid of output pixels.
pub struct Phase {
    /// The taps that it has.
    pub taps: Taps,
    /// Output rows of an image.
    pub rows: usize,
    /// For each position of the largest band, its pixel relative to the band's first.
    pub pixels: Vec<i32>,
}

/// A convolution in bands of the map that is read.
pub struct Schedule {
    /// The map that is read.
    pub map: Map,
    /// That of a band's copy.
    pub layout: Layout,
    /// One per residue of the written pixels modulo the stride.
    pub phases: Vec<Phase>,
    /// Channels written.
    pub writes: usize,
    /// Rows and columns of the map that is written.
    pub out: [usize; 2],
    /// Rows of it between output rows of a phase.
    pub row_step: usize,
    /// Bytes of the packed weights.
    pub packed_bytes: usize,
    /// Whether outputs are products of single input pixels, in the same order: then a map in bf16 need not be copied.
    pub straight: bool,
}

impl Schedule {
    /// That of a layer, whose bands are shared by so many of the threads.
    pub fn new(g: &ConvGeometry, operation: Operation, split: Split, band_threads: usize) -> Self {
        let a = &g.attrs;
        let map_size = [g.h, g.w];
        let [rows, cols] = [0, 1].map(|i| match operation {
            Operation::Forward => {
                let place = |k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
                let taps: Vec<Tap> = (0..a.kernel[i]).map(|k| (k, place(k))).collect();
                Axis::new(map_size[i], g.out[i], a.stride[i], &[taps])
            }
            Operation::BackwardData => {
                let count = a.stride[i].min(map_size[i]);
                let taps = |phase| phase_taps(a.kernel[i], a.stride[i], a.padding[i], a.dilation[i], phase);
                let phases: Vec<_> = (0..count).map(taps).collect();
                Axis::new(g.out[i], map_size[i].div_ceil(a.stride[i]), 1, &phases)
            }
        });
        let (reads, writes, out, step) = match operation {
            Operation::Forward => (g.cin, g.cout, g.out, [1, 1]),
            Operation::BackwardData => (g.cout, g.cin, map_size, a.stride),
        };
        // The rows of a tile, a multiple of 512 bytes apart, would share eight sets of the first-level cache or less.
        let pixel = if reads.is_multiple_of(256) { reads + DEPTH } else { reads };
        let weights = a.kernel[0] * a.kernel[1] * reads * writes * size_of::<u16>() * split.count();
        let bytes = weights.clamp(BAND_BYTES[0], BAND_BYTES[1]);
        let budget = bytes / size_of::<u16>() / split.count() / pixel;
        let map = Map::new(g.n, rows, cols, reads, budget, band_threads);
        let rows = map.copy_rows(map.largest()) / map.rows.step;
        let copy = rows * map.rows.step * map.cols.pitch * pixel;
        // Behind the copy: the zeros of its last row, a block, and what tiles cover beyond the last position.
        let slack = map.cols.pitch * pixel + DEPTH + 4 * SIDE * map.cols.step * pixel;
        let layout = Layout { pixel, rows, term: (copy + slack).next_multiple_of(DEPTH) };
        let mut packed_bytes = 0;
        let mut phases = Vec::new();
        for row in 0..map.rows.phases.len() {
            for col in 0..map.cols.phases.len() {
                let taps = Taps::new(&map, &layout, [row, col], packed_bytes);
                packed_bytes += taps.bytes(writes, split.count());
                let grid = [0, 1].map(|i| (out[i] - [row, col][i]).div_ceil(step[i]));
                phases.push(Phase { taps, rows: grid[0], pixels: map.outputs(grid, out, [row, col], step) });
            }
        }
        let row_step = step[0];
        let straight =
            a.kernel == [1, 1] && a.stride == [1, 1] && a.padding == [0, 0] && reads.is_multiple_of(DEPTH);
        Schedule { map, layout, phases, writes, out, row_step, packed_bytes, straight }
    }

    /// Groups of channels written.
    pub fn groups(&self) -> usize {
        self.writes.div_ceil(GROUP)
    }
}

// The tiles of weights that a group's product reads are whole.
const _: () = assert!(TILE_BYTES == SIDE * DEPTH * size_of::<u16>());
