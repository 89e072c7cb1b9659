//! The gradient of a convolution's weights: `dw[tap][cin][cout] = sum over positions q of x[q + tap][cin] * dy[q][cout]`.
//!
//! A band of `x` is copied transposed, `[residue of the stride][cin][position]`, so that a tile of `A` is 16 channels of 32
//! positions at any offset, and the band of `dy` as tiles of `B`, zeros between rows and images.

use std::ops::Range;

use bytemuck::Pod;
use resnetc_compiler::plan::ConvGeometry;

use super::element::{Element, pair_rows};
use super::map::{Axis, Band, Map};
use super::product::{Fetch, Product};
use super::split::Split;
use super::tiles::{DEPTH, SIDE, Sums, TILE_BYTES, Tiles};
use super::weights::GROUP;
use super::windows::Windows;
use crate::choice::Estimate;
use crate::conv::kernel::FilterKernel;
use crate::conv::window::Tap;
use crate::ctx::Ctx;
use crate::machine::Machine;
use crate::maps::MapSrc;
use crate::memory::{Dst, Src};
use crate::simd::{Avx512, Isa, Simd, Vector};
use crate::threads::{chunk, chunk_either};

/// Bytes of a band's copies. Every sum of the thread is read and written once per band: the larger the better.
const BAND_BYTES: usize = 640 << 10;

/// Weights up to this many floats get a sum per thread; the threads then share the bands.
const MAX_PARTIAL: usize = 256 << 10;

/// What the cost model takes one thread to do: cycles, estimated from `benches/NOTES.md`.
mod cost {
    /// A product of tiles, with what it waits for: half of the loads cross cache lines.
    pub const PRODUCT: f64 = 46.0;
    /// Transposing and converting an element.
    pub const CONVERT: f64 = 0.57;
    /// Loading and storing a tile of sums.
    pub const SUMS: f64 = 91.0;
}

/// A row of tiles of the gradient: 16 channels of `x` under one tap.
struct TileRow {
    /// Element of its first factor in the copy.
    from: usize,
    /// First of its weights' rows: `tap * cin + channel`, `cin` rounded up to tiles.
    to: usize,
}

/// A filter gradient with everything decided that sizes decide.
pub struct AmxFilter {
    geometry: ConvGeometry,
    split: Split,
    /// Where rows of taps are taken for channels, which `geometry` then says.
    windows: Option<Windows>,
    /// Elements of `x`, and those from one of its rows, or pixels, to the next.
    x_len: usize,
    x_steps: [usize; 2],
    map: Map,
    /// Positions from one channel to the next in the copy of `x`.
    stride: usize,
    rows: Vec<TileRow>,
    /// For each position of the largest band its pixel of `dy`, relative to the band's first; negative where it is none.
    pixels: Vec<i32>,
    /// Byte offsets of the blocks of positions.
    blocks: Vec<isize>,
    by_bands: bool,
}

impl AmxFilter {
    /// `dw` of `x` and `dy`, and what it is expected to cost; `None` without AMX or with groups.
    pub fn offer(geometry: ConvGeometry, split: Split, machine: Machine) -> Option<(Self, Estimate)> {
        if machine.isa != Isa::Amx || geometry.attrs.groups > 1 {
            return None;
        }
        let gradient = Self::new(geometry, split, machine.threads);
        let estimate = gradient.estimate(machine);
        Some((gradient, estimate))
    }

    fn new(geometry: ConvGeometry, split: Split, threads: usize) -> Self {
        let ConvGeometry { n, h, w, cin, .. } = geometry;
        let (windows, geometry) = Windows::new(&geometry).map_or((None, geometry), |(w, g)| (Some(w), g));
        let x_steps = windows.as_ref().map_or([w * cin, cin], |windows| [windows.pitch, windows.step]);
        let g = &geometry;
        let a = &g.attrs;
        let [rows, cols] = [0, 1].map(|i| {
            let place = |k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
            let taps: Vec<Tap> = (0..a.kernel[i]).map(|k| (k, place(k))).collect();
            Axis::new([g.h, g.w][i], g.out[i], a.stride[i], &[taps])
        });
        let padded = |channels: usize| channels.next_multiple_of(SIDE);
        let weights = a.kernel[0] * a.kernel[1] * padded(g.cin) * padded(g.cout);
        let by_bands = weights <= MAX_PARTIAL || g.cout.div_ceil(GROUP) < threads;
        let residues = rows.step * cols.step;
        let pixel = (padded(g.cin) + padded(g.cout) / residues) * size_of::<u16>() * split.count();
        let sharing = if by_bands { threads } else { 1 };
        let map = Map::new(g.n, rows, cols, g.cin, BAND_BYTES / pixel, sharing);
        let band = map.largest();
        let copy_rows = map.copy_rows(band) / map.rows.step;
        let stride = ((copy_rows + 1) * map.cols.outputs() + 2 * DEPTH).next_multiple_of(DEPTH);
        // Channels a multiple of 512 bytes apart would share few sets of the first-level cache.
        let stride = if stride.is_multiple_of(256) { stride + DEPTH } else { stride };
        let mut tiles = Vec::new();
        for &(row, below) in &map.rows.phases[0] {
            for &(col, right) in &map.cols.phases[0] {
                let residue = below % map.rows.step * map.cols.step + right % map.cols.step;
                let shift = below / map.rows.step * map.cols.outputs() + right / map.cols.step;
                for channel in (0..g.cin).step_by(SIDE) {
                    tiles.push(TileRow {
                        from: (residue * padded(g.cin) + channel) * stride + shift,
                        to: (row * a.kernel[1] + col) * padded(g.cin) + channel,
                    });
                }
            }
        }
        let pixels = map.outputs(g.out, g.out, [0, 0], [1, 1]);
        let bytes = (DEPTH * size_of::<u16>()) as isize;
        let blocks = (0..pixels.len().div_ceil(DEPTH) as isize).map(|i| i * bytes).collect();
        let x_len = n * h * w * cin;
        AmxFilter {
            geometry,
            split,
            windows,
            x_len,
            x_steps,
            map,
            stride,
            rows: tiles,
            pixels,
            blocks,
            by_bands,
        }
    }

    /// Expected cycles of the busiest of the threads.
    fn estimate(&self, machine: Machine) -> Estimate {
        let threads = machine.threads;
        let [bands, groups] = if self.by_bands { [threads, 1] } else { [1, threads] };
        let bands = self.map.bands().div_ceil(bands) as f64;
        let groups = self.groups().div_ceil(groups);
        let columns = (groups * 2).min(self.padded()[1] / SIDE);
        let tiles = (self.rows.len() * columns) as f64;
        let product = cost::PRODUCT * machine.amx_slowness(self.geometry.precision);
        let products = tiles * (self.blocks.len() * self.split.products()) as f64 * product;
        let elements = self.copy_len() + columns * SIDE * self.pixels.len();
        let copied = (elements * self.split.count()) as f64 * cost::CONVERT;
        let parts = [
            ("products", bands * products),
            ("copies", bands * copied),
            ("sums", bands * tiles * cost::SUMS),
        ];
        Estimate { algorithm: self.split.algorithm(), parts: parts.to_vec() }
    }

    /// Groups of two tiles of output channels.
    fn groups(&self) -> usize {
        self.geometry.cout.div_ceil(GROUP)
    }

    /// Channels of `x` and `dy`, rounded up to tiles.
    fn padded(&self) -> [usize; 2] {
        [self.geometry.cin, self.geometry.cout].map(|channels| channels.next_multiple_of(SIDE))
    }

    /// Elements of one term of the copy of `x`.
    fn copy_len(&self) -> usize {
        self.map.rows.step * self.map.cols.step * self.padded()[0] * self.stride
    }

    /// Elements of the tiles of `dy`.
    fn tiles_len(&self) -> usize {
        self.split.count() * self.padded()[1] / SIDE * self.blocks.len() * TILE_BYTES / size_of::<u16>()
    }

    /// Floats of the gradient, channels rounded up to tiles.
    fn sums_len(&self) -> usize {
        let kernel = self.geometry.attrs.kernel;
        kernel[0] * kernel[1] * self.padded()[0] * self.padded()[1]
    }

    /// Whether sums are added up in `dw` itself.
    fn in_place(&self) -> bool {
        !self.by_bands && self.padded() == [self.geometry.cin, self.geometry.cout]
    }

    /// Floats of the copies of one thread, and those of its sums.
    fn thread_len(&self) -> [usize; 2] {
        let elements = self.split.count() * self.copy_len() + self.tiles_len();
        [(elements * size_of::<u16>()).div_ceil(64) * 16, if self.in_place() { 0 } else { self.sums_len() }]
    }

    /// Floats of the copied windows, rounded up so that what follows is aligned.
    fn windows_len(&self) -> usize {
        self.windows.as_ref().map_or(0, Windows::len).next_multiple_of(SIDE)
    }

    /// Runs each thread's share, and adds up their sums.
    ///
    /// # Safety
    /// AMX is there.
    unsafe fn run_threads<const TERMS: usize, X: Element + Pod + Sync + Send, D: Element + Pod + Sync>(
        &self,
        ctx: &Ctx<'_>,
        x: Src<'_, X>,
        dy: Src<'_, D>,
        scratch: Dst<'_, f32>,
        dw: Dst<'_, f32>,
    ) {
        let g = &self.geometry;
        let threads = ctx.threads.count();
        assert_eq!(x.len(), self.x_len, "x");
        assert_eq!(dy.len(), g.n * g.out[0] * g.out[1] * g.cout, "dy");
        assert_eq!(dw.len(), g.attrs.kernel[0] * g.attrs.kernel[1] * g.cin * g.cout, "dw");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        let (copied, scratch) = scratch.split_at(self.windows_len());
        let x = match &self.windows {
            Some(windows) => {
                // SAFETY: elements are no larger than floats, any bytes are some of them, and nobody else has this memory.
                let copied = unsafe { Dst::new(copied.ptr().cast::<X>(), windows.len()) };
                windows.copy(ctx, x, copied);
                copied.src()
            }
            None => x,
        };
        let (sums, copies) = scratch.split_at(self.thread_len()[1] * threads);
        ctx.threads.run(&|thread| {
            let copies = copies.ptr().wrapping_add(thread * self.thread_len()[0]);
            let sums = match (self.by_bands, self.in_place()) {
                (true, _) => sums.ptr().wrapping_add(thread * self.sums_len()),
                (false, true) => dw.ptr(),
                (false, false) => sums.ptr(),
            };
            let worker = Worker { filter: self, x, dy, copies: copies.cast(), sums, thread, threads };
            // SAFETY: the caller's promise; lengths are checked above; threads have their own copies, and sums or columns of
            // them.
            unsafe { worker.run::<TERMS>() };
        });
        if !self.in_place() {
            let partial = if self.by_bands { threads } else { 1 };
            ctx.threads.run(&|thread| {
                let kernel = g.attrs.kernel;
                for row in chunk(kernel[0] * kernel[1] * g.cin, 1, thread, threads) {
                    // SAFETY: AMX is there; the sums are `partial` times `sums_len` long, `dw` as checked.
                    unsafe { self.add_up(row, partial, sums.src(), dw) };
                }
            });
        }
    }

    /// Adds up row `row` of the threads' sums.
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add_up(&self, row: usize, partial: usize, sums: Src<'_, f32>, dw: Dst<'_, f32>) {
        let (cin, cout, [cin_padded, cout_padded]) = (self.geometry.cin, self.geometry.cout, self.padded());
        let from = (row / cin * cin_padded + row % cin) * cout_padded;
        for channel in (0..cout).step_by(SIDE) {
            // SAFETY: the caller's promise; rows of sums are whole vectors.
            unsafe {
                let mut sum = Simd::<Avx512>::new().zero();
                for part in 0..partial {
                    sum = sum.add(Avx512::load(
                        Simd::new(),
                        sums.ptr().add(part * self.sums_len() + from + channel),
                    ));
                }
                sum.store_first(dw.ptr().add(row * cout + channel), SIDE.min(cout - channel));
            }
        }
    }
}

impl FilterKernel for AmxFilter {
    fn scratch_len(&self, threads: usize) -> usize {
        let [copies, sums] = self.thread_len();
        self.windows_len() + (copies + sums) * threads
    }

    fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        // SAFETY: AMX is there, or this would not have been made.
        unsafe {
            match (self.split, x, dy) {
                (Split::Bf16x3, x, dy) => self.run_threads::<3, _, _>(ctx, x.f32(), dy.f32(), scratch, dw),
                (Split::Bf16x1, MapSrc::F32(x), MapSrc::F32(dy)) => {
                    self.run_threads::<1, _, _>(ctx, x, dy, scratch, dw);
                }
                (Split::Bf16x1, MapSrc::F32(x), MapSrc::Bf16(dy)) => {
                    self.run_threads::<1, _, _>(ctx, x, dy, scratch, dw);
                }
                (Split::Bf16x1, MapSrc::Bf16(x), MapSrc::F32(dy)) => {
                    self.run_threads::<1, _, _>(ctx, x, dy, scratch, dw);
                }
                (Split::Bf16x1, MapSrc::Bf16(x), MapSrc::Bf16(dy)) => {
                    self.run_threads::<1, _, _>(ctx, x, dy, scratch, dw);
                }
            }
        }
    }
}

/// One thread's share of the products.
struct Worker<'a, X, D> {
    filter: &'a AmxFilter,
    x: Src<'a, X>,
    dy: Src<'a, D>,
    /// This thread's copies: of `x`, then the tiles of `dy`.
    copies: *mut u16,
    /// Where it sums.
    sums: *mut f32,
    thread: usize,
    threads: usize,
}

impl<X: Element + Pod, D: Element + Pod> Worker<'_, X, D> {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
    unsafe fn run<const TERMS: usize>(&self) {
        let f = self.filter;
        let work = [f.map.bands(), f.groups()];
        let [bands, groups] = chunk_either(f.by_bands, work, self.thread, self.threads);
        let missing = f.rows.len() * SIDE * f.padded()[1] < f.sums_len();
        // SAFETY: the caller's promise.
        unsafe {
            if bands.is_empty() || missing {
                self.clear(groups.clone());
            }
            let _tiles = Tiles::configure();
            for i in bands.clone() {
                let band = f.map.band(i);
                self.copy_x::<TERMS>(band);
                for group in groups.clone() {
                    self.copy_dy::<TERMS>(band, group);
                    self.multiply::<TERMS>(band, group, i > bands.start || missing);
                }
            }
        }
    }

    /// Sets the sums of some groups to zero.
    unsafe fn clear(&self, groups: Range<usize>) {
        let row = self.filter.padded()[1];
        let columns = (groups.start * GROUP).min(row)..(groups.end * GROUP).min(row);
        for at in (0..self.filter.sums_len()).step_by(row) {
            // SAFETY: inside of the sums, in this thread's columns.
            unsafe { self.sums.add(at + columns.start).write_bytes(0, columns.len()) };
        }
    }

    /// Copies a band of `x`, transposed; zeros where the map has no pixel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy_x<const TERMS: usize>(&self, band: Band) {
        let f = self.filter;
        let (map, channels) = (&f.map, f.geometry.cin);
        let rows = map.copy_rows(band);
        let mut pixels = [std::ptr::null(); DEPTH];
        for residue in 0..map.rows.step * map.cols.step {
            let (below, right) = (residue / map.cols.step, residue % map.cols.step);
            let (mut row, mut col) = (below, right);
            for first in (0..f.stride).step_by(DEPTH) {
                for pixel in &mut pixels {
                    let place = if row < rows { map.input_row(band, row) } else { None };
                    let place = place.and_then(|(image, row)| Some((image, row, map.cols.input(0, col)?)));
                    *pixel = place.map_or(std::ptr::null(), |(image, row, col)| {
                        let [a_row, a_pixel] = f.x_steps;
                        self.x.ptr().wrapping_add((image * map.rows.size + row) * a_row + col * a_pixel)
                    });
                    col += map.cols.step;
                    if col >= map.cols.pitch {
                        (row, col) = (row + map.rows.step, right);
                    }
                }
                for channel in (0..channels).step_by(SIDE) {
                    let rows = pixels.map(|p| if p.is_null() { p } else { p.wrapping_add(channel) });
                    let at = (residue * f.padded()[0] + channel) * f.stride + first;
                    let width = SIDE.min(channels - channel);
                    // SAFETY: the pixels are in `x`, the copy is as long as `copy_len` says.
                    unsafe {
                        X::transpose::<TERMS>(&rows, width, self.copies.add(at), f.stride, f.copy_len());
                    }
                }
            }
        }
    }

    /// Makes tiles of one group's channels of a band of `dy`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn copy_dy<const TERMS: usize>(&self, band: Band, group: usize) {
        let f = self.filter;
        let g = &f.geometry;
        let first = (band.image * g.out[0] + band.row) * g.out[1];
        let tiles = self.tiles(group);
        let positions = &f.pixels[..f.map.positions(band)];
        let mut to = self.tiles_of_dy(TERMS);
        for block in positions.chunks(DEPTH) {
            let mut pixels = [std::ptr::null(); DEPTH];
            for (pointer, &pixel) in pixels.iter_mut().zip(block) {
                if let Ok(pixel) = usize::try_from(pixel) {
                    *pointer = self.dy.ptr().wrapping_add((first + pixel) * g.cout + group * GROUP);
                }
            }
            for tile in 0..tiles {
                let rows = pixels.map(|p| if p.is_null() { p } else { p.wrapping_add(tile * SIDE) });
                let width = SIDE.min(g.cout - group * GROUP - tile * SIDE);
                // SAFETY: the pixels are in `dy`; the tiles are as many as `tiles_len` says.
                unsafe {
                    pair_rows::<TERMS, D>(&rows, width, to.add(tile * SIDE * DEPTH), tiles * SIDE * DEPTH)
                };
            }
            to = to.wrapping_add(TERMS * tiles * SIDE * DEPTH);
        }
    }

    /// Tiles of a group.
    fn tiles(&self, group: usize) -> usize {
        (self.filter.geometry.cout - group * GROUP).div_ceil(SIDE).min(2)
    }

    /// The tiles of `dy`.
    fn tiles_of_dy(&self, terms: usize) -> *mut u16 {
        self.copies.wrapping_add(terms * self.filter.copy_len())
    }

    /// Adds the products of a band to the sums of a group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn multiply<const TERMS: usize>(&self, band: Band, group: usize, accumulate: bool) {
        let f = self.filter;
        let columns = f.padded()[1];
        let count = f.map.positions(band).div_ceil(DEPTH);
        let wide = self.tiles(group) == 2;
        let mut first = 0;
        while first < f.rows.len() {
            let sums = match (wide, f.rows.len() - first) {
                (true, 1) => Sums::Row,
                (true, _) => Sums::Square,
                (false, 0..4) => Sums::Single,
                (false, _) => Sums::Column,
            };
            let row = |i: usize| &f.rows[(first + i).min(f.rows.len() - 1)];
            let to = std::array::from_fn(|i| self.sums.wrapping_add(row(i).to * columns + group * GROUP));
            // SAFETY: the caller's promise; the copies are as long as their lengths say, and a block beyond the last
            // position meets zeros of `dy`.
            unsafe {
                if accumulate {
                    sums.load(&to, columns * size_of::<f32>());
                } else {
                    sums.clear();
                }
                let product = Product {
                    a: std::array::from_fn(|i| self.copies.wrapping_add(row(i).from).cast_const().cast()),
                    a_row: f.stride * size_of::<u16>(),
                    a_term: f.copy_len() * size_of::<u16>(),
                    blocks: f.blocks.as_ptr(),
                    count,
                    b: self.tiles_of_dy(TERMS).cast_const().cast(),
                    fetch: Fetch::Nothing,
                };
                product.add_to(sums, TERMS);
                sums.store(&to, columns * size_of::<f32>());
            }
            first += sums.rows();
        }
    }
}
