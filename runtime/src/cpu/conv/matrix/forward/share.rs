//! One thread's share of a convolution: copy a band, multiply it by each group of weights, finish and store.

use std::ops::Range;

use bytemuck::Pod;

use super::finish::{Finish, Found};
use super::{MatrixConvolution, Phase, SQUARE, SUMS};
use crate::cpu::conv::matrix::element::Element;
use crate::cpu::conv::matrix::machine::{DEPTH, SIDE, Sums, TILE_BYTES, Tiles};
use crate::cpu::conv::matrix::map::{Band, Cut};
use crate::cpu::conv::matrix::product::{Fetch, Product};
use crate::cpu::conv::matrix::weights::GROUP;
use crate::cpu::memory::Src;
use crate::cpu::pool::share;

/// One thread's share of a run.
pub(super) struct Share<'a, I, O> {
    pub convolution: &'a MatrixConvolution,
    pub input: Src<'a, I>,
    pub packed: Src<'a, f32>,
    pub finish: Finish<'a, O>,
    /// This thread's scratch memory.
    pub own: *mut f32,
    pub thread: usize,
    pub threads: usize,
}

/// Bytes of a thread's packed weights that stay in its second-level cache beside maps. Then all channels of some output
/// pixels are computed before those of others, so that memory is written in order: the processor fetches ahead what is
/// read and written in order, and of weights with few channels read that is most of the time. Larger weights are read
/// once for a whole band.
const RESIDENT_BYTES: usize = 1 << 20;

/// Positions of a block: whole columns and squares of tiles.
const BLOCK: usize = 64;

/// Which part of a band is multiplied by which weights.
#[derive(Clone)]
struct Part {
    /// Output positions.
    positions: Range<usize>,
    /// Of channels written.
    group: usize,
    /// The weights that are fetched meanwhile.
    weights: Weights,
}

/// What is known of weights in the second-level cache.
#[derive(Clone, Copy)]
enum Weights {
    /// The group's own are not there.
    Absent {
        /// The group that comes next.
        next: usize,
    },
    /// They are.
    There {
        /// The group that comes next, if its own are not there.
        next: Option<usize>,
    },
}

/// Sums on the way to memory: while a square is multiplied, the one before it is finished, so that the unit waits for no
/// store.
struct Pending<'a> {
    before: Option<Found<'a>>,
    /// Which half of the memory for sums comes next.
    turn: usize,
}

/// Where the rows of tiles of `A` of a band lie.
#[derive(Clone, Copy)]
struct Rows {
    /// That of the first position.
    first: *const u8,
    /// Bytes from one to the next.
    step: usize,
    /// From this position on they lie in `tail`: tiles reach beyond the end of a map that is not copied.
    copied: usize,
    tail: *const u8,
}

impl<I: Element + Pod, O: Element + Pod> Share<'_, I, O> {
    /// Computes it.
    ///
    /// # Safety
    /// The matrix unit is there; views are as long as [`MatrixConvolution::run`] checks, `own` as its `thread_len` says; threads
    /// have parts of their own.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    pub unsafe fn run<const PLANES: usize>(&self) {
        let c = self.convolution;
        let by_groups = self.threads / c.band_threads;
        let (band_part, group_part) = (self.thread / by_groups, self.thread % by_groups);
        let groups = share(c.groups(), 1, group_part, by_groups);
        let resident = c.packed_bytes / by_groups <= RESIDENT_BYTES;
        // SAFETY: the caller's promise.
        unsafe {
            let _tiles = Tiles::configure();
            let mut pending = Pending { before: None, turn: 0 };
            for (nth, band) in share(c.map.bands(), 1, band_part, c.band_threads).enumerate() {
                let band = c.map.band(band);
                let rows = if I::NARROW && c.straight { self.stay(band) } else { self.copy::<PLANES>(band) };
                let positions = c.map.positions(band);
                let block = if resident { BLOCK } else { positions };
                for start in (0..positions).step_by(block) {
                    for group in groups.clone() {
                        let next = if group + 1 < groups.end { group + 1 } else { groups.start };
                        let first = nth == 0 && start == 0;
                        let weights = match (resident, first && group == groups.start) {
                            (true, _) if first => Weights::Absent { next },
                            (true, _) => Weights::There { next: None },
                            (false, true) => Weights::Absent { next },
                            (false, false) => Weights::There { next: Some(next) },
                        };
                        let part = Part { positions: start..start + block, group, weights };
                        for phase in &c.phases {
                            self.multiply::<PLANES>(band, rows, phase, &part, &mut pending);
                        }
                    }
                }
            }
            if let Some(last) = pending.before {
                self.finish.store(&last);
            }
        }
    }

    /// The copy of a band.
    fn copied(&self) -> *mut u16 {
        self.own.wrapping_add(SUMS).cast()
    }

    /// Leaves a band where it is, but for pixels at the end of the map that tiles reach beyond.
    #[inline]
    unsafe fn stay(&self, band: Band) -> Rows {
        let c = self.convolution;
        let (channels, tile) = (c.map.channels, Sums::Column.rows() * SIDE);
        let first = (band.image * c.out[0] + band.row) * c.out[1];
        let positions = c.map.positions(band);
        let from = self.input.ptr().wrapping_add(first * channels).cast::<u8>();
        let step = channels * size_of::<u16>();
        let mut rows = Rows { first: from, step, copied: positions, tail: from };
        if first + positions + tile > self.input.len() / channels {
            rows.copied = (positions - 1) / tile * tile;
            rows.tail = self.copied().cast_const().cast();
            let bytes = (positions - rows.copied) * step;
            // SAFETY: the pixels are in the map, and the copy has room for a tile's.
            unsafe { from.add(rows.copied * step).copy_to_nonoverlapping(self.copied().cast(), bytes) };
        }
        rows
    }

    /// Copies a band as bf16, zeros where the map has no pixel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy<const PLANES: usize>(&self, band: Band) -> Rows {
        let c = self.convolution;
        let (map, layout) = (&c.map, c.layout);
        let width = map.cols.pitch * layout.pixel;
        let rows = map.copy_rows(band);
        let zero = |at: usize, len: usize| {
            for plane in 0..PLANES {
                // SAFETY: inside of the copy.
                unsafe { self.copied().add(plane * layout.plane + at).write_bytes(0, len) };
            }
        };
        for row in 0..rows {
            let to = layout.row(map, row);
            match map.input_row(band, row) {
                // SAFETY: the image has the row, the copy room for it.
                Some((image, row)) => unsafe {
                    self.copy_row::<PLANES>((image * map.rows.size + row) * map.cols.size, to)
                },
                None => zero(to, width),
            }
        }
        // The last row's right edge is the left one of what follows it.
        for residue in 0..map.rows.step {
            if rows / map.rows.step < layout.rows {
                zero(layout.row(map, rows + residue), width);
            }
        }
        zero(layout.rows * map.rows.step * width, width + DEPTH);
        let (first, step) =
            (self.copied().cast_const().cast(), map.cols.step * layout.pixel * size_of::<u16>());
        Rows { first, step, copied: usize::MAX, tail: first }
    }

    /// Copies the row of the map that begins with pixel `first`, `to` being where in a plane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy_row<const PLANES: usize>(&self, first: usize, to: usize) {
        let c = self.convolution;
        let (cols, layout, channels) = (&c.map.cols, c.layout, c.map.channels);
        let row = self.input.ptr().wrapping_add(first * channels);
        let to = self.copied().wrapping_add(to);
        // SAFETY: the caller's promise: the row is inside of the input, and of the copy.
        unsafe {
            if cols.pick == 1 && layout.pixel == channels {
                let lead = usize::try_from(-cols.first).unwrap_or(0).min(cols.pitch);
                let skip = usize::try_from(cols.first).unwrap_or(0);
                let count = cols.size.saturating_sub(skip).min(cols.pitch - lead);
                for plane in 0..PLANES {
                    let to = to.add(plane * layout.plane);
                    to.write_bytes(0, lead * channels);
                    to.add((lead + count) * channels).write_bytes(0, (cols.pitch - lead - count) * channels);
                }
                let to = to.add(lead * channels);
                I::convert::<PLANES>(row.wrapping_add(skip * channels), count * channels, to, layout.plane);
                return;
            }
            for col in 0..cols.pitch {
                let to = to.add(col * layout.pixel);
                let len = match cols.input(0, col) {
                    Some(pixel) => {
                        I::convert::<PLANES>(row.add(pixel * channels), channels, to, layout.plane);
                        channels
                    }
                    None => 0,
                };
                for plane in 0..PLANES {
                    to.add(plane * layout.plane + len).write_bytes(0, layout.pixel - len);
                }
            }
        }
    }

    /// One group of channels of some of a phase's outputs in a band.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    unsafe fn multiply<'a, const PLANES: usize>(
        &self,
        band: Band,
        from: Rows,
        phase: &'a Phase,
        part: &Part,
        pending: &mut Pending<'a>,
    ) {
        let c = self.convolution;
        let rows = match c.map.cut {
            Cut::Images(_) => band.rows,
            Cut::Rows(_) => band.rows.min(phase.rows.saturating_sub(band.row)),
        };
        let positions = c.map.positions_of(band, rows);
        let end = positions.min(part.positions.end);
        let channel = part.group * GROUP;
        let wide = c.writes - channel > SIDE;
        let b = self.weights::<PLANES>(phase, part.group);
        let first_pixel = (band.image * c.out[0] + band.row * c.row_step) * c.out[1];
        let width = if wide { GROUP } else { SIDE };
        let found = |own: *const f32, first: usize, rows: usize| {
            let pixels = &phase.pixels[first.min(positions)..(first + rows).min(positions)];
            Found { sums: own, pixels, first_pixel, channel, width }
        };
        let mut first = part.positions.start;
        while first < end {
            let left = end - first;
            let sums = match wide {
                true if left > SIDE => Sums::Square,
                true => Sums::Row,
                false if left > SIDE => Sums::Column,
                false => Sums::Single,
            };
            let a = match first.checked_sub(from.copied) {
                Some(at) => from.tail.wrapping_add(at * from.step),
                None => from.first.wrapping_add(first * from.step),
            };
            let covered = sums.rows() * SIDE;
            let own = self.own.wrapping_add(pending.turn * SQUARE);
            pending.turn = 1 - pending.turn;
            if first == 0 {
                self.finish.fetch(&found(own, first, covered));
            }
            // What the next square will write is fetched early enough to be there in time.
            self.finish.fetch(&found(own, first + covered, covered));
            // SAFETY: the caller's promise; the copy is as long as the tiles of its last position reach.
            unsafe {
                let product = Product {
                    a: std::array::from_fn(|i| a.wrapping_add(i * SIDE * from.step)),
                    a_row: from.step,
                    a_plane: c.layout.plane * size_of::<u16>(),
                    blocks: phase.taps.offsets.as_ptr(),
                    count: phase.taps.blocks(),
                    b,
                    fetch: self.fetch::<PLANES>(phase, part, (first - part.positions.start) / covered, left),
                };
                sums.clear();
                product.add_to(sums, PLANES);
                if let Some(before) = pending.before.replace(found(own, first, left.min(covered))) {
                    self.finish.store(&before);
                }
                sums.store(
                    &std::array::from_fn(|i| own.wrapping_add(i * SIDE * width)),
                    width * size_of::<f32>(),
                );
            }
            first += covered;
        }
    }

    /// The first byte of a group's packed weights.
    fn weights<const PLANES: usize>(&self, phase: &Phase, group: usize) -> *const u8 {
        self.packed.ptr().cast::<u8>().wrapping_add(phase.taps.group(group, PLANES))
    }

    /// Which weights are fetched in a part's square: in the first one the group's own, unless they are there, in the four
    /// after that the next group's. Where there are fewer, there is no time for that.
    #[inline(always)]
    fn fetch<const PLANES: usize>(&self, phase: &Phase, part: &Part, square: usize, left: usize) -> Fetch {
        let (next, square) = match part.weights {
            Weights::There { next: None } => return Fetch::Nothing,
            Weights::Absent { .. } if square == 0 => return Fetch::Ahead,
            _ if square == 0 && left <= 4 * GROUP => return Fetch::Ahead,
            Weights::Absent { next } => (next, square - 1),
            Weights::There { next: Some(next) } => (next, square),
        };
        let bytes = phase.taps.blocks() * PLANES * TILE_BYTES / 2;
        if square < 4 {
            Fetch::Quarter(self.weights::<PLANES>(phase, next).wrapping_add(square * bytes))
        } else {
            Fetch::Nothing
        }
    }
}
