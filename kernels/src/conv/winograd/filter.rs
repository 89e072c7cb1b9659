//! The gradient of the weights, adjoint of the forward convolution: `dw[cin][cout] = G' U G` of the sums over all patches
//! `U[point][cin][cout] = sum of (B' d B)[point][cin] * (A dy A')[point][cout]`, `d` being the 6x6 pixels of `x` under a patch
//! and `dy` the 4x4 of the result's gradient, zero where the map has none.
//!
//! Channels are cut into slices, so that the sums of a slice of `cin` and one of `cout`, a cell, stay in the second-level
//! cache beside a block of transformed patches. Each cell transforms its patches anew: that is cheap beside its products,
//! while sums of more channels would come from memory with every block.

use std::ops::Range;

use resnetc_compiler::plan::ConvGeometry;

use super::patches::{Patches, load_pixels};
use super::size::{PLANE_PAD, Size};
use super::transform::{gradient_patch, input_patch, load_points, store_points, weights_gradient_patch};
use crate::choice::Estimate;
use crate::conv::bf16::WideFilter;
use crate::conv::kernel::FilterKernel;
use crate::conv::tile::correlate::{FilterTile, correlate};
use crate::conv::tile::shape::Shape;
use crate::conv::tile::sums::add_up;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::maps::MapSrc;
use crate::memory::{Dst, Src};
use crate::simd::{Isa, Simd, Vector, Work};
use crate::threads::chunk_either;

/// Bytes of transformed patches of a cell that are worked on at a time. Every sum of the cell is read and written once per
/// block: the larger the better.
const BLOCK_BYTES: usize = 768 << 10;

/// Elements of a transformed patch.
const POINTS: usize = Size::Four.points();

/// Most channels of a slice: 64 by 64 make 576 KiB of sums.
const SLICE: usize = 64;

/// What the cost model takes one thread to do: estimates, whose choices were the faster ones in all layers of
/// `benches/NOTES.md`. Only the ratios matter.
mod cost {
    /// Multiply-adds of vectors in a cycle.
    pub const PRODUCTS: f64 = 1.2;
    /// Cycles to transform a vector of patches.
    pub const PATCH: f64 = 200.0;
    /// Cycles to read and write a vector of sums once more.
    pub const SUM: f64 = 4.0;
    /// Cycles to transform a vector of sums back, and to add up the threads'.
    pub const FINISH: f64 = 300.0;
}

/// A filter gradient by F(4x4, 3x3).
///
/// The work is patches times cells. Where there are cells for all threads these share them; else they share the patches,
/// and what each makes of its own is added up at the end in the order of the threads.
pub struct WinogradFilter {
    patches: Patches,
    /// Channels of `x` and of `dy`.
    channels: [usize; 2],
    /// Channels of their slices; the last ones may be smaller.
    slices: [usize; 2],
    /// Of the tiles of sums.
    shape: Shape,
    /// Patches that are worked on at a time.
    block: usize,
    by_patches: bool,
}

impl WinogradFilter {
    /// A gradient that the algorithm applies to.
    pub fn new(g: &ConvGeometry, isa: Isa, threads: usize) -> Result<Self> {
        let channels = [g.cin, g.cout];
        let patches = Patches::new(Size::Four, g.n, [g.h, g.w], g.out, g.attrs.padding, g.cin.max(g.cout))?;
        let slices = channels.map(|c| c.div_ceil(c.div_ceil(SLICE)).next_multiple_of(isa.lanes()));
        let cells: usize = channels.iter().zip(slices).map(|(c, slice)| c.div_ceil(slice)).product();
        let uneven = cells.div_ceil(threads) * threads * 8 > cells * 9;
        let by_patches = threads > 1 && uneven;
        let own = if by_patches { patches.count().div_ceil(threads) } else { patches.count() };
        let fitting = (BLOCK_BYTES / size_of::<f32>() / POINTS / (slices[0] + slices[1])).max(1);
        let block = own.div_ceil(own.div_ceil(fitting));
        Ok(WinogradFilter { patches, channels, slices, shape: Shape::new(isa, slices[1]), block, by_patches })
    }

    /// Expected cycles of the busiest of the threads.
    pub fn estimate(&self, isa: Isa, threads: usize) -> Estimate {
        let lanes = isa.lanes() as f64;
        let [read, written] = self.channels.map(|channels| channels as f64 / lanes);
        let [inner, outer] = self.counts();
        let all = self.patches.count();
        let (patches, busy) = if self.by_patches {
            (all.div_ceil(threads), 1.0)
        } else {
            (all, self.cells().div_ceil(threads) as f64 / self.cells() as f64)
        };
        let again = if patches > self.block { inner as f64 } else { 1.0 };
        let transforms = patches as f64 * (read * outer as f64 + written * again) * cost::PATCH;
        let pairs = self.channels[0] as f64 * written;
        let products = (patches * POINTS) as f64 * pairs / cost::PRODUCTS;
        let blocks = patches.div_ceil(self.block) as f64;
        let parts = [
            ("products", products),
            ("transforms", transforms),
            ("sums", pairs * (POINTS as f64 * blocks * cost::SUM + cost::FINISH)),
        ];
        let parts = parts.map(|(name, cycles)| (name, cycles * busy)).to_vec();
        Estimate { algorithm: "winograd", parts }
    }

    /// Slices of the channels of `x` and of `dy`.
    fn counts(&self) -> [usize; 2] {
        [0, 1].map(|i| self.channels[i].div_ceil(self.slices[i]))
    }

    /// Pairs of a slice of `x` and one of `dy`.
    fn cells(&self) -> usize {
        self.counts().iter().product()
    }

    /// Channels of cell `i`, those of `x` running faster.
    fn cell(&self, i: usize) -> [Range<usize>; 2] {
        let [inner, _] = self.counts();
        let range =
            |i: usize, at: usize| at * self.slices[i]..self.channels[i].min((at + 1) * self.slices[i]);
        [range(0, i % inner), range(1, i / inner)]
    }

    /// Floats of the weights.
    fn weights(&self) -> usize {
        9 * self.channels[0] * self.channels[1]
    }

    /// Floats between the planes of two points: of patches of `x`, of `dy`, and of sums.
    fn planes(&self) -> [usize; 3] {
        let [inner, outer] = self.slices;
        [self.block * inner, self.block * outer, inner * outer].map(|contents| contents + PLANE_PAD)
    }

    /// Floats of the partial gradient of one thread.
    fn partial_len(&self) -> usize {
        if self.by_patches { self.weights().next_multiple_of(16) } else { 0 }
    }

    /// Floats of scratch memory of one thread: partial gradient, patches, and sums.
    fn thread_len(&self) -> usize {
        self.partial_len() + POINTS * self.planes().iter().sum::<usize>()
    }
}

impl FilterKernel for WinogradFilter {
    fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        let (x, dy) = (x.f32(), dy.f32());
        let threads = ctx.threads.count();
        let [read, written] = self.patches.pixels();
        assert_eq!(x.len(), read * self.channels[0], "x");
        assert_eq!(dy.len(), written * self.channels[1], "dy");
        assert_eq!(dw.len(), self.weights(), "dw");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        ctx.threads.run(&|thread| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let to = if self.by_patches { own } else { dw.ptr() };
            ctx.isa.dispatch(Worker { filter: self, x, dy, own, dw: to, thread, threads });
        });
        if self.by_patches {
            add_up(ctx, scratch, self.thread_len(), dw);
        }
    }
}

impl WideFilter for WinogradFilter {}

/// One thread's share of a run.
struct Worker<'a> {
    filter: &'a WinogradFilter,
    x: Src<'a, f32>,
    dy: Src<'a, f32>,
    /// This thread's scratch memory.
    own: *mut f32,
    /// The gradient that this thread writes.
    dw: *mut f32,
    thread: usize,
    threads: usize,
}

impl Work for Worker<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let f = self.filter;
        let work = [f.patches.count(), f.cells()];
        let [patches, cells] = chunk_either(f.by_patches, work, self.thread, self.threads);
        if patches.is_empty() {
            // SAFETY: this thread's own part of the scratch memory.
            unsafe { self.dw.write_bytes(0, f.weights()) };
            return;
        }
        let mut transformed = None;
        for [read, written] in cells.map(|i| f.cell(i)) {
            for start in patches.clone().step_by(f.block) {
                let block = start..patches.end.min(start + f.block);
                // SAFETY: `WinogradFilter::run` has checked the lengths; threads have their own scratch memory, and write
                // either there or to cells of their own.
                unsafe {
                    self.transform_x::<V>(simd, block.clone(), read.clone());
                    // The next cell may have the same channels of `dy`, and all patches may be one block.
                    if transformed != Some((start, written.start)) {
                        self.transform_dy::<V>(simd, block.clone(), written.clone());
                        transformed = Some((start, written.start));
                    }
                    let next = block.end..patches.end.min(block.end + f.block);
                    let cell = [read.clone(), written.clone()];
                    self.multiply::<V>(simd, block.len(), cell, &next, start > patches.start);
                }
            }
            // SAFETY: likewise.
            unsafe { self.finish::<V>(simd, read, written) };
        }
    }
}

impl Worker<'_> {
    /// Transformed patches of `x` and of `dy`, and sums of their products.
    #[inline(always)]
    fn places(&self) -> [*mut f32; 3] {
        let [read, written, _] = self.filter.planes();
        let first = self.own.wrapping_add(self.filter.partial_len());
        [first, first.wrapping_add(POINTS * read), first.wrapping_add(POINTS * (read + written))]
    }

    /// Transforms some channels of the patches of `x`.
    #[inline(always)]
    unsafe fn transform_x<V: Vector>(&self, simd: Simd<V>, block: Range<usize>, channels: Range<usize>) {
        let f = self.filter;
        let (plane, [mut to, _, _]) = (f.planes()[0], self.places());
        for patch in block {
            let pixels = f.patches.inputs::<6>(self.x.ptr(), f.channels[0], patch);
            for c in channels.clone().step_by(V::LANES) {
                // SAFETY: the caller's promise; channels fill vectors.
                unsafe {
                    let points = input_patch::<V, 6>(&load_pixels(simd, &pixels, c));
                    store_points(&points, to.add(c - channels.start), plane);
                }
            }
            to = to.wrapping_add(f.slices[0]);
        }
    }

    /// Transforms some channels of the patches of `dy`.
    #[inline(always)]
    unsafe fn transform_dy<V: Vector>(&self, simd: Simd<V>, block: Range<usize>, channels: Range<usize>) {
        let f = self.filter;
        let (plane, [_, mut to, _]) = (f.planes()[1], self.places());
        for patch in block {
            let pixels = f.patches.outputs::<4>(self.dy.ptr(), f.channels[1], patch);
            for c in channels.clone().step_by(V::LANES) {
                // SAFETY: the caller's promise; channels fill vectors.
                unsafe {
                    let points = gradient_patch::<V>(&load_pixels(simd, &pixels, c));
                    store_points(&points, to.add(c - channels.start), plane);
                }
            }
            to = to.wrapping_add(f.slices[1]);
        }
    }

    /// Adds the products of `count` patches to the sums of a cell, and fetches the pixels of the next ones.
    #[inline(always)]
    unsafe fn multiply<V: Vector>(
        &self,
        simd: Simd<V>,
        count: usize,
        cell: [Range<usize>; 2],
        next: &Range<usize>,
        accumulate: bool,
    ) {
        let f = self.filter;
        let size = [cell[0].len(), cell[1].len()];
        let [inner, outer] = f.slices;
        let ([read, written, summed], [x, dy, sums]) = (f.planes(), self.places());
        let panels = size[1].div_ceil(f.shape.width());
        let steps = POINTS * panels * size[0].div_ceil(f.shape.scalars) * count;
        let (mut ahead, lines) = self.ahead(next);
        let ahead_step = lines.div_ceil(steps);
        for point in 0..POINTS {
            for panel in (0..size[1]).step_by(f.shape.width()) {
                let width = f.shape.width().min(size[1] - panel);
                let mut first = 0;
                while first < size[0] {
                    let scalars = f.shape.within(size[0] - first);
                    let tile = FilterTile {
                        x: x.wrapping_add(point * read + first),
                        x_step: inner,
                        dy: dy.wrapping_add(point * written + panel),
                        dy_step: outer,
                        pixels: count,
                        width,
                        dw: sums.wrapping_add(point * summed + first * outer + panel),
                        dw_step: outer,
                        accumulate,
                        ahead,
                        ahead_step,
                    };
                    // SAFETY: the caller's promise.
                    unsafe { correlate::<V, true>(simd, scalars, width.div_ceil(V::LANES), &tile) };
                    first += scalars;
                    ahead = ahead.map(|at| at.wrapping_add(count * ahead_step));
                }
            }
        }
    }

    /// Where the pixels of patches begin, in `x` and in `dy`, and how many floats they are in the larger map. Patches that
    /// follow one another are about as many pixels that do. Where channels are cut, most of them would be others': nothing.
    fn ahead(&self, patches: &Range<usize>) -> ([*const f32; 2], usize) {
        let f = self.filter;
        let maps = [self.x.ptr(), self.dy.ptr()];
        if patches.is_empty() || f.cells() > 1 {
            return (maps, 0);
        }
        let firsts = f.patches.firsts(patches.start);
        let ahead = [0, 1].map(|i| maps[i].wrapping_add(firsts[i] * f.channels[i]));
        (ahead, patches.len() * Size::Four.output().pow(2) * f.channels[0].max(f.channels[1]))
    }

    /// Transforms the sums of a cell back, to the taps of its channels.
    #[inline(always)]
    unsafe fn finish<V: Vector>(&self, simd: Simd<V>, read: Range<usize>, written: Range<usize>) {
        let f = self.filter;
        let ([_, _, plane], [_, _, mut sums]) = (f.planes(), self.places());
        let [inner, outer] = f.channels;
        for row in read {
            for c in written.clone().step_by(V::LANES) {
                // SAFETY: the caller's promise; channels fill vectors.
                unsafe {
                    let points = load_points(simd, sums.add(c - written.start), plane);
                    let taps = weights_gradient_patch::<V>(&points);
                    for tap in 0..9 {
                        taps[tap / 3][tap % 3].store(self.dw.add((tap * inner + row) * outer + c));
                    }
                }
            }
            sums = sums.wrapping_add(f.slices[1]);
        }
    }
}
