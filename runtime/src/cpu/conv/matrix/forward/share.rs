//! One thread's share of a convolution: copy a band, multiply it by each group of weights, finish and store.

use super::{MatrixConvolution, Phase, SUMS};
use crate::cpu::activation;
use crate::cpu::conv::matrix::machine::{DEPTH, SIDE, Sums, Tiles};
use crate::cpu::conv::matrix::map::{Band, Cut};
use crate::cpu::conv::matrix::planes::convert;
use crate::cpu::conv::matrix::product::Product;
use crate::cpu::conv::matrix::weights::GROUP;
use crate::cpu::conv::sweep::Finishing;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::vector::{Avx512, Vector};

/// One thread's share of a run.
pub(super) struct Share<'a> {
    pub convolution: &'a MatrixConvolution,
    pub input: Src<'a, f32>,
    pub packed: Src<'a, f32>,
    pub finishing: &'a Finishing<'a>,
    pub output: Dst<'a, f32>,
    /// This thread's scratch memory.
    pub own: *mut f32,
    pub thread: usize,
    pub threads: usize,
}

impl Share<'_> {
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
        // SAFETY: the caller's promise.
        unsafe {
            let _tiles = Tiles::configure();
            for band in share(c.map.bands(), 1, band_part, c.band_threads) {
                let band = c.map.band(band);
                self.copy::<PLANES>(band);
                for group in groups.clone() {
                    for phase in &c.phases {
                        self.multiply::<PLANES>(band, phase, group);
                    }
                }
            }
        }
    }

    /// The copy of a band.
    fn copied(&self) -> *mut u16 {
        self.own.wrapping_add(SUMS).cast()
    }

    /// Copies a band as bf16, zeros where the map has no pixel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy<const PLANES: usize>(&self, band: Band) {
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
                convert::<PLANES>(row.wrapping_add(skip * channels), count * channels, to, layout.plane);
                return;
            }
            for col in 0..cols.pitch {
                let to = to.add(col * layout.pixel);
                let len = match cols.input(0, col) {
                    Some(pixel) => {
                        convert::<PLANES>(row.add(pixel * channels), channels, to, layout.plane);
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

    /// One group of channels of a phase's outputs in a band.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    unsafe fn multiply<const PLANES: usize>(&self, band: Band, phase: &Phase, group: usize) {
        let c = self.convolution;
        let rows = match c.map.cut {
            Cut::Images(_) => band.rows,
            Cut::Rows(_) => band.rows.min(phase.rows.saturating_sub(band.row)),
        };
        let positions = c.map.positions_of(band, rows);
        let channel = group * GROUP;
        let wide = c.writes - channel > SIDE;
        let step = c.map.cols.step * c.layout.pixel * size_of::<u16>();
        let b = self.packed.ptr().cast::<u8>().wrapping_add(phase.taps.group(group, PLANES));
        let first_pixel = (band.image * c.out[0] + band.row * c.row_step) * c.out[1];
        let mut first = 0;
        while first < positions {
            let left = positions - first;
            let sums = match wide {
                true if left > SIDE => Sums::Square,
                true => Sums::Row,
                false if left > SIDE => Sums::Column,
                false => Sums::Single,
            };
            let width = sums.columns() * SIDE;
            let a = self.copied().cast::<u8>().wrapping_add(first * step);
            let count = left.min(sums.rows() * SIDE);
            let pixels = &phase.pixels[first..first + count];
            self.fetch_output(pixels, width, first_pixel, channel);
            // SAFETY: the caller's promise; the copy is as long as the tiles of its last position reach.
            unsafe {
                let product = Product {
                    a: std::array::from_fn(|i| a.wrapping_add(i * SIDE * step).cast_const()),
                    a_row: step,
                    a_plane: c.layout.plane * size_of::<u16>(),
                    blocks: phase.taps.offsets.as_ptr(),
                    count: phase.taps.blocks(),
                    b,
                };
                sums.clear();
                product.add_to(sums, PLANES);
                let found = std::array::from_fn(|i| self.own.wrapping_add(i * SIDE * width));
                sums.store(&found, width * size_of::<f32>());
                self.finish(pixels, width, first_pixel, channel);
            }
            first += sums.rows() * SIDE;
        }
    }

    /// Asks for the lines of the output, and of the residual, that [`Share::finish`] will need, while the unit multiplies.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fetch_output(&self, pixels: &[i32], width: usize, first_pixel: usize, channel: usize) {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        let output = self.output.ptr();
        let residual =
            self.finishing.residual.map(Src::ptr).filter(|&residual| residual != output.cast_const());
        for &pixel in pixels {
            let Ok(pixel) = usize::try_from(pixel) else { continue };
            let pixel = first_pixel + pixel;
            let at = pixel * self.convolution.writes + channel;
            for at in (at..at + width).step_by(SIDE) {
                _mm_prefetch::<_MM_HINT_ET0>(output.wrapping_add(at + pixel * self.finishing.gap).cast());
                if let Some(residual) = residual {
                    _mm_prefetch::<_MM_HINT_T0>(residual.wrapping_add(at).cast());
                }
            }
        }
    }

    /// Finishes and stores sums: a row of `width` channels, from `channel` on, for each of `pixels`.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn finish(&self, pixels: &[i32], width: usize, first_pixel: usize, channel: usize) {
        let writes = self.convolution.writes;
        for (row, &pixel) in pixels.iter().enumerate() {
            let Ok(pixel) = usize::try_from(pixel) else { continue };
            for v in (0..width).step_by(SIDE) {
                let channel = channel + v;
                let pixel = first_pixel + pixel;
                let at = pixel * writes + channel;
                let gaps = pixel * self.finishing.gap;
                // SAFETY: the caller's promise: the pixel is one of the output's, and so are its first `count` channels.
                unsafe {
                    let sum = Avx512::load(self.own.add(row * width + v));
                    match writes - channel {
                        left if left >= SIDE => self.finish_vector::<true>(sum, at, gaps, channel, SIDE),
                        left => self.finish_vector::<false>(sum, at, gaps, channel, left),
                    }
                }
            }
        }
    }

    /// Finishes the vector at element `at` of a result without gaps, which `gaps` floats of them come before.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn finish_vector<const WHOLE: bool>(
        &self,
        sum: Avx512,
        at: usize,
        gaps: usize,
        channel: usize,
        count: usize,
    ) {
        let Finishing { bias, residual, act, .. } = *self.finishing;
        // SAFETY: the caller's promise.
        unsafe {
            let load =
                |from: *const f32| if WHOLE { Avx512::load(from) } else { Avx512::load_first(from, count) };
            let mut sum = sum;
            if let Some(bias) = bias {
                sum = sum.add(load(bias.ptr().add(channel)));
            }
            if let Some(residual) = residual {
                sum = sum.add(load(residual.ptr().add(at)));
            }
            let found = activation::forward(act, sum);
            let to = self.output.ptr().add(at + gaps);
            if WHOLE { found.store(to) } else { found.store_first(to, count) }
        }
    }
}
