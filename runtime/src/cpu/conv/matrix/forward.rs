//! The forward convolution, and the gradient of the input: one convolution over `dy` per phase of the stride.

use resnetc_compiler::plan::ConvGeometry;

use super::machine::{DEPTH, Product, SIDE, Sums, TILE_BYTES, Tiles};
use super::map::{Axis, Band, Cut, Map};
use super::planes::convert;
use super::weights::{GROUP, Layout, Taps, Weights};
use super::{Planes, machine};
use crate::cpu::Ctx;
use crate::cpu::activation;
use crate::cpu::conv::Operation;
use crate::cpu::conv::sweep::{Finishing, phase_taps};
use crate::cpu::conv::window::Tap;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stream::spanned;
use crate::cpu::vector::{Avx512, Vector};
use crate::device::Estimate;

/// Bytes of a band's copy, least and most: as many as the weights, so that what is read again for each band stays in the
/// second-level cache, and no more than do so beside a group of weights.
const BAND_BYTES: [usize; 2] = [192 << 10, 768 << 10];

/// Sums that are held in registers, 2 x 2 or 4 x 1 tiles.
const SUMS: usize = 4 * SIDE * SIDE;

/// What the cost model takes one thread to do: cycles, estimated from `benches/NOTES.md`.
mod cost {
    /// A product of tiles, with what it waits for.
    pub const PRODUCT: f64 = 20.0;
    /// The same in a column of tiles, of at most 16 channels written: more loads, and a shorter depth.
    pub const COLUMN_PRODUCT: f64 = 32.0;
    /// Converting an element to one plane.
    pub const CONVERT: f64 = 0.12;
    /// Finishing an element.
    pub const FINISH: f64 = 0.25;
    /// Bytes of packed weights a cycle from the last-level cache.
    pub const BYTES: f64 = 8.0;
}

/// One dense grid of output pixels.
struct Phase {
    taps: Taps,
    /// Output rows of an image.
    rows: usize,
    /// For each position of the largest band, its pixel relative to the band's first.
    pixels: Vec<i32>,
}

/// A convolution with everything decided that sizes decide.
pub struct MatrixConvolution {
    geometry: ConvGeometry,
    operation: Operation,
    planes: Planes,
    map: Map,
    layout: Layout,
    phases: Vec<Phase>,
    /// Channels written.
    writes: usize,
    /// Rows and columns of the map that is written.
    out: [usize; 2],
    /// Rows of it between output rows of a phase.
    row_step: usize,
    /// How many of the threads share the bands; the others share the groups of channels.
    band_threads: usize,
    packed_bytes: usize,
}

impl MatrixConvolution {
    /// Whether the unit does such convolutions: those without groups.
    pub fn applies(g: &ConvGeometry) -> bool {
        machine::available() && g.attrs.groups == 1
    }

    /// The fastest way to share the work, and what it is expected to cost.
    pub(in crate::cpu::conv) fn choose(
        geometry: ConvGeometry,
        operation: Operation,
        planes: Planes,
        threads: usize,
    ) -> (Self, Estimate) {
        let made = (1..=threads).filter(|by| threads.is_multiple_of(*by)).map(|by| {
            let convolution = Self::new(geometry, operation, planes, by);
            let estimate = convolution.estimate(threads);
            (convolution, estimate)
        });
        made.min_by(|a, b| a.1.cycles().total_cmp(&b.1.cycles())).expect("there is a thread")
    }

    fn new(geometry: ConvGeometry, operation: Operation, planes: Planes, band_threads: usize) -> Self {
        let g = &geometry;
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
        // 16 pixels that are a multiple of 2 KiB apart would share two sets of the first-level cache.
        let pixel = if reads.is_multiple_of(1024) { reads + DEPTH } else { reads };
        let weights = a.kernel[0] * a.kernel[1] * reads * writes * size_of::<u16>() * planes.count();
        let bytes = weights.clamp(BAND_BYTES[0], BAND_BYTES[1]);
        let budget = bytes / size_of::<u16>() / planes.count() / pixel;
        let map = Map::new(g.n, rows, cols, reads, budget, band_threads);
        let rows = map.copy_rows(map.largest()) / map.rows.step;
        let copy = rows * map.rows.step * map.cols.pitch * pixel;
        // Behind the copy: the zeros of its last row, a block, and what tiles cover beyond the last position.
        let slack = map.cols.pitch * pixel + DEPTH + 4 * SIDE * map.cols.step * pixel;
        let layout = Layout { pixel, rows, plane: (copy + slack).next_multiple_of(DEPTH) };
        let mut packed_bytes = 0;
        let mut phases = Vec::new();
        for row in 0..map.rows.phases.len() {
            for col in 0..map.cols.phases.len() {
                let taps = Taps::new(&map, &layout, [row, col], packed_bytes);
                packed_bytes += taps.bytes(writes, planes.count());
                let grid = [0, 1].map(|i| (out[i] - [row, col][i]).div_ceil(step[i]));
                phases.push(Phase { taps, rows: grid[0], pixels: map.outputs(grid, out, [row, col], step) });
            }
        }
        let row_step = step[0];
        MatrixConvolution {
            geometry,
            operation,
            planes,
            map,
            layout,
            phases,
            writes,
            out,
            row_step,
            band_threads,
            packed_bytes,
        }
    }

    /// Expected cycles of the busiest of the threads.
    fn estimate(&self, threads: usize) -> Estimate {
        let bands = self.map.bands().div_ceil(self.band_threads);
        let groups = self.groups().div_ceil(threads / self.band_threads);
        let band = self.map.largest();
        let columns = (groups * 2).min(self.writes.div_ceil(SIDE));
        let tiles = self.map.positions(band).div_ceil(SIDE).next_multiple_of(2) * columns;
        let blocks: usize = self.phases.iter().map(|phase| phase.taps.blocks()).sum();
        let product = if columns > 1 { cost::PRODUCT } else { cost::COLUMN_PRODUCT };
        let products = (tiles * blocks * self.planes.products()) as f64 * product;
        let planes = self.planes.count() as f64;
        let copied = (self.map.copy_rows(band) * self.map.cols.pitch * self.layout.pixel) as f64;
        let finished = (tiles * self.phases.len() * SIDE * SIDE) as f64 * cost::FINISH;
        let weights = self.packed_bytes as f64 / (threads / self.band_threads) as f64 / cost::BYTES;
        let bands = bands as f64;
        let parts = [
            ("products", bands * products),
            ("copies", bands * copied * planes * cost::CONVERT),
            ("results", bands * finished),
            ("weights", weights),
        ];
        Estimate { algorithm: self.name(), parts: parts.to_vec() }
    }

    /// Groups of channels written.
    fn groups(&self) -> usize {
        self.writes.div_ceil(GROUP)
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self.planes {
            Planes::One => "amx-bf16",
            Planes::Three => "amx-f32",
        }
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packed_bytes / size_of::<f32>()
    }

    /// Floats of scratch memory of one thread: sums, and the copy of a band.
    fn thread_len(&self) -> usize {
        SUMS + (self.planes.count() * self.layout.plane * size_of::<u16>()).div_ceil(64) * 16
    }

    /// Floats of scratch memory that [`MatrixConvolution::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let g = &self.geometry;
        let kernel = g.attrs.kernel;
        assert_eq!(weight.len(), kernel[0] * kernel[1] * g.cin * g.cout, "weight");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        let threads = ctx.pool.threads();
        let weights = weight;
        ctx.pool.run(&|thread| {
            let weights = Weights {
                first: weights.ptr(),
                cols: kernel[1],
                cin: g.cin,
                cout: g.cout,
                operation: self.operation,
            };
            for phase in &self.phases {
                let blocks = phase.taps.blocks();
                for item in share(self.groups() * blocks, 1, thread, threads) {
                    let (group, block) = (item / blocks, item % blocks);
                    let packed = packed.ptr().cast();
                    // SAFETY: the unit is there, or this would not have been made; lengths are checked above; items write
                    // disjoint tiles.
                    unsafe {
                        match self.planes {
                            Planes::One => weights.pack::<1>(&phase.taps, group, block, packed),
                            Planes::Three => weights.pack::<3>(&phase.taps, group, block, packed),
                        }
                    }
                }
            }
        });
    }

    /// Computes the result: of `x` forward, of `dy` backward.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, f32>,
        packed: Src<'_, f32>,
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: Dst<'_, f32>,
    ) {
        let threads = ctx.pool.threads();
        let map = &self.map;
        assert_eq!(input.len(), map.images * map.rows.size * map.cols.size * map.channels, "input");
        let pixels = map.images * self.out[0] * self.out[1];
        assert_eq!(output.len(), spanned(pixels, self.writes, finishing.gap), "output");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        assert!(finishing.bias.is_none_or(|b| b.len() == self.writes), "bias");
        assert!(finishing.residual.is_none_or(|r| r.len() == pixels * self.writes), "residual");
        ctx.pool.run(&|thread| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let share = Share { convolution: self, input, packed, finishing, output, own, thread, threads };
            // SAFETY: the unit is there, or this would not have been made; lengths are checked above; threads write
            // disjoint pixels or channels, and have their own parts of the scratch memory.
            unsafe {
                match self.planes {
                    Planes::One => share.run::<1>(),
                    Planes::Three => share.run::<3>(),
                }
            }
        });
    }
}

/// One thread's share of a run.
struct Share<'a> {
    convolution: &'a MatrixConvolution,
    input: Src<'a, f32>,
    packed: Src<'a, f32>,
    finishing: &'a Finishing<'a>,
    output: Dst<'a, f32>,
    /// This thread's scratch memory.
    own: *mut f32,
    thread: usize,
    threads: usize,
}

impl Share<'_> {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    unsafe fn run<const PLANES: usize>(&self) {
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

// The tiles of weights that a group's product reads are whole.
const _: () = assert!(TILE_BYTES == SIDE * DEPTH * size_of::<u16>());
