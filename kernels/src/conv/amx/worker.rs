//! One thread's share of a convolution: copy a band, multiply it by each group of weights, finish and store.

use bytemuck::Pod;

use super::element::Element;
use super::epilogue::{Found, TileEpilogue};
use super::map::{Band, Cut};
use super::product::{Fetch, Product};
use super::schedule::{Phase, SQUARE, SUMS, Schedule};
use super::tiles::{DEPTH, SIDE, Sums, TILE_BYTES, Tiles};
use super::weights::GROUP;
use crate::memory::Src;
use crate::threads::Part;

/// One thread's share of a run.
pub(super) struct Worker<'a, I, O> {
    pub schedule: &'a Schedule,
    pub input: Src<'a, I>,
    pub packed: Src<'a, f32>,
    pub epilogue: TileEpilogue<'a, O>,
    /// This thread's scratch memory.
    pub own: *mut f32,
}

/// What is known of weights in the second-level cache while a group is multiplied.
#[derive(Clone, Copy)]
struct Fetched {
    /// Whether the group's own have been fetched.
    now: bool,
    /// The group that comes next.
    next: usize,
}

impl Fetched {
    /// What is fetched in one of a group's squares, so that memory is read all the time: behind the first of them the next
    /// group's weights, a quarter in each, or with few squares a half. Where there are just as many squares as parts, the last
    /// part of a group's own is fetched in the first one. `bytes` is what a group has, `own` and `next` its first and the next
    /// one's.
    #[inline(always)]
    fn in_square(
        self,
        square: usize,
        squares: usize,
        own: *const u8,
        next: *const u8,
        bytes: usize,
    ) -> Fetch {
        let parts = if squares < 4 { 2 } else { 4 };
        let part = |from: *const u8, i: usize| {
            let from = from.wrapping_add(i * bytes / parts);
            if parts == 2 { Fetch::Half(from) } else { Fetch::Quarter(from) }
        };
        match square.checked_sub(1) {
            _ if squares == 1 => Fetch::Ahead,
            None if !self.now => Fetch::Ahead,
            None if squares == parts => part(own, parts - 1),
            None => Fetch::Nothing,
            Some(i) if i < parts => part(next, i),
            Some(_) => Fetch::Nothing,
        }
    }
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

impl<I: Element + Pod, O: Element + Pod> Worker<'_, I, O> {
    /// Computes these groups of channels of these bands. Groups that are handed out are of one band.
    ///
    /// # Safety
    /// AMX is there; views are as long as the convolution checks, `own` as its `thread_len` says; threads
    /// have parts of their own.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    pub unsafe fn run<const TERMS: usize>(&self, bands: Part<'_>, mut groups: Part<'_>) {
        let c = self.schedule;
        let all = match &groups {
            Part::Own(range) => range.clone(),
            Part::Handed(_) => 0..0,
        };
        let mut now = false;
        // SAFETY: the caller's promise.
        unsafe {
            let _tiles = Tiles::configure();
            for band in bands {
                let band = c.map.band(band);
                let rows = if I::NARROW && c.straight { self.stay(band) } else { self.copy::<TERMS>(band) };
                let mut next = groups.next();
                while let Some(group) = next {
                    next = groups.next();
                    // The weights of the first group are there behind the first band.
                    let fetched = Fetched { now, next: next.unwrap_or(all.start) };
                    now = true;
                    for phase in &c.phases {
                        self.multiply::<TERMS>(band, rows, phase, group, fetched);
                    }
                }
                if let Part::Own(_) = groups {
                    groups = Part::Own(all.clone());
                }
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
        let c = self.schedule;
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
    unsafe fn copy<const TERMS: usize>(&self, band: Band) -> Rows {
        let c = self.schedule;
        let (map, layout) = (&c.map, c.layout);
        let width = map.cols.pitch * layout.pixel;
        let rows = map.copy_rows(band);
        let zero = |at: usize, len: usize| {
            for term in 0..TERMS {
                // SAFETY: inside of the copy.
                unsafe { self.copied().add(term * layout.term + at).write_bytes(0, len) };
            }
        };
        for row in 0..rows {
            let to = layout.row(map, row);
            match map.input_row(band, row) {
                // SAFETY: the image has the row, the copy room for it.
                Some((image, row)) => unsafe {
                    self.copy_row::<TERMS>((image * map.rows.size + row) * map.cols.size, to)
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

    /// Copies the row of the map that begins with pixel `first`, `to` being where in a term.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy_row<const TERMS: usize>(&self, first: usize, to: usize) {
        let c = self.schedule;
        let (cols, layout, channels) = (&c.map.cols, c.layout, c.map.channels);
        let row = self.input.ptr().wrapping_add(first * channels);
        let to = self.copied().wrapping_add(to);
        // SAFETY: the caller's promise: the row is inside of the input, and of the copy.
        unsafe {
            if cols.pick == 1 && layout.pixel == channels {
                let lead = usize::try_from(-cols.first).unwrap_or(0).min(cols.pitch);
                let skip = usize::try_from(cols.first).unwrap_or(0);
                let count = cols.size.saturating_sub(skip).min(cols.pitch - lead);
                for term in 0..TERMS {
                    let to = to.add(term * layout.term);
                    to.write_bytes(0, lead * channels);
                    to.add((lead + count) * channels).write_bytes(0, (cols.pitch - lead - count) * channels);
                }
                let to = to.add(lead * channels);
                I::convert::<TERMS>(row.wrapping_add(skip * channels), count * channels, to, layout.term);
                return;
            }
            for col in 0..cols.pitch {
                let to = to.add(col * layout.pixel);
                let len = match cols.input(0, col) {
                    Some(pixel) => {
                        I::convert::<TERMS>(row.add(pixel * channels), channels, to, layout.term);
                        channels
                    }
                    None => 0,
                };
                for term in 0..TERMS {
                    to.add(term * layout.term + len).write_bytes(0, layout.pixel - len);
                }
            }
        }
    }

    /// One group of channels of a phase's outputs in a band.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    unsafe fn multiply<const TERMS: usize>(
        &self,
        band: Band,
        from: Rows,
        phase: &Phase,
        group: usize,
        fetched: Fetched,
    ) {
        let c = self.schedule;
        let rows = match c.map.cut {
            Cut::Images(_) => band.rows,
            Cut::Rows(_) => band.rows.min(phase.rows.saturating_sub(band.row)),
        };
        let positions = c.map.positions_of(band, rows);
        let channel = group * GROUP;
        let wide = c.writes - channel > SIDE;
        let b = self.packed.ptr().cast::<u8>().wrapping_add(phase.taps.group(group, TERMS));
        let squares = positions.div_ceil(2 * SIDE);
        let next = self.packed.ptr().cast::<u8>().wrapping_add(phase.taps.group(fetched.next, TERMS));
        let bytes = phase.taps.blocks() * TERMS * 2 * TILE_BYTES;
        let first_pixel = (band.image * c.out[0] + band.row * c.row_step) * c.out[1];
        let (mut first, mut turn, mut before) = (0, 0, None);
        while first < positions {
            let left = positions - first;
            let sums = match wide {
                true if left > SIDE => Sums::Square,
                true => Sums::Row,
                false if left > SIDE => Sums::Column,
                false => Sums::Single,
            };
            let width = sums.columns() * SIDE;
            let a = match first.checked_sub(from.copied) {
                Some(at) => from.tail.wrapping_add(at * from.step),
                None => from.first.wrapping_add(first * from.step),
            };
            let count = left.min(sums.rows() * SIDE);
            // While one square is multiplied, the one before it is finished: AMX waits for no store.
            let own = self.own.wrapping_add(turn * SQUARE);
            turn = 1 - turn;
            let pixels = &phase.pixels[first..first + count];
            let found = Found { sums: own.cast_const(), pixels, first_pixel, channel, width };
            self.epilogue.fetch(&found);
            // SAFETY: the caller's promise; the copy is as long as the tiles of its last position reach.
            unsafe {
                let product = Product {
                    a: std::array::from_fn(|i| a.wrapping_add(i * SIDE * from.step)),
                    a_row: from.step,
                    a_term: c.layout.term * size_of::<u16>(),
                    blocks: phase.taps.offsets.as_ptr(),
                    count: phase.taps.blocks(),
                    b,
                    fetch: fetched.in_square(first / (2 * SIDE), squares, b, next, bytes),
                };
                sums.clear();
                product.add_to(sums, TERMS);
                if let Some(before) = before.replace(found) {
                    self.epilogue.store(&before);
                }
                sums.store(
                    &std::array::from_fn(|i| own.wrapping_add(i * SIDE * width)),
                    width * size_of::<f32>(),
                );
            }
            first += sums.rows() * SIDE;
        }
        if let Some(last) = before {
            // SAFETY: the caller's promise.
            unsafe { self.epilogue.store(&last) };
        }
    }
}
