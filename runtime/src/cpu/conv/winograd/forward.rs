//! Forward and backward-data: `y = A' [sum over c of (G g_c G') * (B' d_c B)] A` for each 6x6 patch `d` of the input and
//! kernel `g`.
//!
//! A block of patches is transformed to `[point][patch][channel read]`, multiplied by the packed weights point by point
//! with the register tiles of the direct convolution, and transformed back; all of it stays in the second-level cache.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use resnetc_compiler::plan::ConvGeometry;

use super::patches::{Patches, load_pixels};
use super::transform::{IN, POINTS, input_patch, load_points, output_patch, store_points, weights_patch};
use super::{PLANE_PAD, applies};
use crate::cpu::Ctx;
use crate::cpu::activation;
use crate::cpu::conv::pack::Panels;
use crate::cpu::conv::tile::{Finish, Shape, Tile, convolve};
use crate::cpu::conv::{Finishing, Operation};
use crate::cpu::isa::{Isa, Work};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::share;
use crate::cpu::stored::MapSrc;
use crate::cpu::stream::spanned;
use crate::cpu::vector::Vector;
use crate::error::Result;

/// Bytes of transformed patches, read and written, that are worked on at a time.
const BLOCK_BYTES: usize = 512 << 10;

/// A 3x3 convolution of stride 1 by F(4x4, 3x3).
pub struct Winograd {
    operation: Operation,
    patches: Patches,
    /// Channels of the map that is read.
    reads: usize,
    /// Channels written, and how they are cut; the depth is `reads`.
    panels: Panels,
    /// Patches that are worked on at a time, a multiple of the register tile's.
    block: usize,
    /// How many threads share the patches; the others share the panels.
    patch_threads: usize,
}

impl Winograd {
    /// Whether the algorithm applies.
    pub fn applies(g: &ConvGeometry, isa: Isa) -> bool {
        applies(g, isa)
    }

    /// A convolution that [`Winograd::applies`] to.
    pub(in crate::cpu::conv) fn new(
        g: &ConvGeometry,
        operation: Operation,
        isa: Isa,
        threads: usize,
    ) -> Result<Self> {
        let map = [g.h, g.w];
        let (input, reads, output, writes, padding) = match operation {
            Operation::Forward => (map, g.cin, g.out, g.cout, g.attrs.padding),
            // The transposed convolution is one with the kernel turned round, over `dy` with the rest of the padding.
            Operation::BackwardData => (g.out, g.cout, map, g.cin, g.attrs.padding.map(|p| 2 - p)),
        };
        let patches = Patches::new(g.n, input, output, padding, reads)?;
        let panels = Panels { shape: Shape::new(isa, writes), channels: writes, depth: reads };
        let all = patches.count();
        let patch_threads = if all >= threads * 2 * panels.shape.scalars { threads } else { 1 };
        let scalars = panels.shape.scalars;
        let fitting = BLOCK_BYTES / size_of::<f32>() / POINTS / (reads + writes) / scalars * scalars;
        let block = fitting.max(scalars).min(all.div_ceil(patch_threads).next_multiple_of(scalars));
        Ok(Winograd { operation, patches, reads, panels, block, patch_threads })
    }

    /// Patches of all images.
    pub fn count(&self) -> usize {
        self.patches.count()
    }

    /// Times that the packed weights are read in a run, by all threads together.
    pub fn weight_reads(&self) -> usize {
        self.count().div_ceil(self.patch_threads).div_ceil(self.block) * self.patch_threads
    }

    /// Channels read, and channels written.
    pub fn channels(&self) -> [usize; 2] {
        [self.reads, self.panels.channels]
    }

    /// Floats of the packed weights: `[point][panel][channel read][channel written]`.
    pub fn packed_len(&self) -> usize {
        POINTS * self.panels.group_len()
    }

    /// Floats between the planes of two points, of patches read and of patches written.
    fn planes(&self) -> [usize; 2] {
        self.channels().map(|channels| self.block * channels + PLANE_PAD)
    }

    /// Floats of scratch memory of one thread: patches read, patches written, row pointers, and indices of patches.
    fn thread_len(&self) -> usize {
        let [read, written] = self.planes();
        let indices = (self.block * size_of::<usize>() / size_of::<f32>()).next_multiple_of(16);
        POINTS * (read + written) + 2 * indices
    }

    /// Floats of scratch memory that [`Winograd::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    /// Transforms and packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        assert_eq!(weight.len(), 9 * self.reads * self.panels.channels, "weight");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        let threads = ctx.pool.threads();
        ctx.pool.run(&|thread| {
            let items = share(self.panels.count() * self.reads, 1, thread, threads);
            ctx.isa.dispatch(Packing { winograd: self, weight, packed, items });
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
        let [reads, writes] = self.channels();
        let threads = ctx.pool.threads();
        let [read, pixels] = self.patches.pixels();
        assert_eq!(input.len(), read * reads, "input");
        assert_eq!(output.len(), spanned(pixels, writes, finishing.gap), "output");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        assert!(finishing.bias.is_none_or(|b| b.len() == writes), "bias");
        assert!(finishing.residual.is_none_or(|r| r.len() == pixels * writes), "residual");
        ctx.pool.run(&|thread| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let share = Share { winograd: self, input, packed, finishing, output, own, thread, threads };
            ctx.isa.dispatch(share);
        });
    }
}

/// One thread's share of packing: `items` are pairs of a panel and a channel read.
struct Packing<'a> {
    winograd: &'a Winograd,
    weight: Src<'a, f32>,
    packed: Dst<'a, f32>,
    items: Range<usize>,
}

impl Work for Packing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Winograd { panels, reads, .. } = self.winograd;
        let reads = *reads;
        for item in self.items.clone() {
            let (panel, read) = (item / reads, item % reads);
            let (_, vectors) = panels.size(panel);
            for v in 0..vectors {
                let first = panel * panels.shape.width() + v * V::LANES;
                let to = panels.offset(0, panel) + (read * vectors + v) * V::LANES;
                // SAFETY: the channels are below those written, whose number fills vectors; lengths were checked.
                unsafe {
                    let taps = self.taps::<V>(read, first);
                    let to = self.packed.ptr().add(to);
                    let points = weights_patch(&taps);
                    for point in 0..POINTS {
                        points[point / IN][point % IN].store(to.add(point * panels.group_len()));
                    }
                }
            }
        }
    }
}

impl Packing<'_> {
    /// The kernels from channel `read` to those from `first` on, one vector per tap.
    #[inline(always)]
    unsafe fn taps<V: Vector>(&self, read: usize, first: usize) -> [[V; 3]; 3] {
        let [reads, writes] = self.winograd.channels();
        let weight = self.weight.ptr();
        // SAFETY: the caller's promise.
        unsafe {
            let mut taps = [[V::zero(); 3]; 3];
            for (row, taps) in taps.iter_mut().enumerate() {
                for (col, tap) in taps.iter_mut().enumerate() {
                    *tap = match self.winograd.operation {
                        Operation::Forward => {
                            V::load(weight.add(((row * 3 + col) * reads + read) * writes + first))
                        }
                        Operation::BackwardData => {
                            let turned = (2 - row) * 3 + 2 - col;
                            let mut lanes = [0.0; 16];
                            for (i, lane) in lanes.iter_mut().enumerate().take(V::LANES) {
                                *lane = *weight.add((turned * writes + first + i) * reads + read);
                            }
                            V::load(lanes.as_ptr())
                        }
                    };
                }
            }
            taps
        }
    }
}

/// One thread's share of a run.
struct Share<'a> {
    winograd: &'a Winograd,
    input: Src<'a, f32>,
    packed: Src<'a, f32>,
    finishing: &'a Finishing<'a>,
    output: Dst<'a, f32>,
    /// This thread's scratch memory.
    own: *mut f32,
    thread: usize,
    threads: usize,
}

impl Work for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let w = self.winograd;
        let by_panels = self.threads / w.patch_threads;
        let (patch_part, panel_part) = (self.thread / by_panels, self.thread % by_panels);
        let patches = share(w.count(), 1, patch_part, w.patch_threads);
        let panels = share(w.panels.count(), 1, panel_part, by_panels);
        for start in patches.clone().step_by(w.block) {
            let block = start..patches.end.min(start + w.block);
            // SAFETY: `Winograd::run` has checked the lengths; threads write disjoint pixels or channels, and the
            // scratch memory is this thread's.
            unsafe {
                for (i, patch) in block.clone().enumerate() {
                    self.transform::<V>(patch, i);
                }
                self.multiply::<V>(block.len(), panels.clone());
                for (i, patch) in block.enumerate() {
                    self.finish::<V>(patch, i, panels.clone());
                }
            }
        }
    }
}

impl Share<'_> {
    /// The transformed patches of the result.
    fn products(&self) -> *mut f32 {
        self.own.wrapping_add(POINTS * self.winograd.planes()[0])
    }

    /// Transforms an input patch, the `i`-th of the block.
    #[inline(always)]
    unsafe fn transform<V: Vector>(&self, patch: usize, i: usize) {
        let w = self.winograd;
        let pixels = w.patches.inputs(self.input.ptr(), w.reads, patch);
        let to = self.own.wrapping_add(i * w.reads);
        for c in (0..w.reads).step_by(V::LANES) {
            // SAFETY: the pixels have `reads` channels, which fill vectors; `i` is in the block.
            unsafe {
                let points = input_patch::<V>(&load_pixels(&pixels, c));
                store_points(&points, to.add(c), w.planes()[0]);
            }
        }
    }

    /// Multiplies the planes of a block with this thread's panels.
    #[inline(always)]
    unsafe fn multiply<V: Vector>(&self, count: usize, panels: Range<usize>) {
        let w = self.winograd;
        let [reads, writes] = w.channels();
        let [plane, product] = w.planes();
        let shape = w.panels.shape;
        // SAFETY: the caller's promise; row pointers and indices have `block` elements, as many as there are patches or,
        // a block being a multiple of the tile, tiles cover.
        unsafe {
            let rows: *mut *const f32 = self.products().add(POINTS * product).cast();
            let outs: *mut usize = rows.add(w.block.next_multiple_of(8)).cast();
            for i in 0..w.block {
                // What lies behind the patches is multiplied where a tile covers it, and not stored.
                rows.add(i).write(self.own.add(i.min(count - 1) * reads));
                outs.add(i).write(i);
            }
            for point in 0..POINTS {
                let y = self.products().add(point * product);
                let finish = Finish {
                    bias: std::ptr::null(),
                    residual: std::ptr::null(),
                    act: None,
                    y,
                    channels: writes,
                    gap: 0,
                };
                for panel in panels.clone() {
                    let (width, vectors) = w.panels.size(panel);
                    let weights = point * w.panels.group_len() + w.panels.offset(0, panel);
                    for first in (0..count).step_by(shape.scalars) {
                        let tile = Tile {
                            rows: rows.add(first),
                            segments: 1,
                            len: reads,
                            from: point * plane,
                            weights: self.packed.ptr().add(weights),
                            count: shape.scalars.min(count - first),
                            outs: outs.add(first),
                            channel: panel * shape.width(),
                            width,
                        };
                        convolve::<V>(shape.covering(tile.count), vectors, &tile, &finish);
                    }
                }
            }
        }
    }

    /// Transforms the products of a patch back, and finishes and stores those of its pixels that the map has.
    #[inline(always)]
    unsafe fn finish<V: Vector>(&self, patch: usize, i: usize, panels: Range<usize>) {
        let w = self.winograd;
        let writes = w.panels.channels;
        let [image, row, col] = w.patches.place(patch);
        let output = w.patches.output();
        let plane = w.planes()[1];
        let width = w.panels.shape.width();
        for c in (panels.start * width..writes.min(panels.end * width)).step_by(V::LANES) {
            let from = self.products().wrapping_add(i * writes + c);
            // SAFETY: the caller's promise; channels fill vectors.
            unsafe {
                let pixels = output_patch::<V>(&load_points(from, plane));
                let bias = match self.finishing.bias {
                    Some(bias) => V::load(bias.ptr().add(c)),
                    None => V::zero(),
                };
                for (y, pixels) in pixels.iter().enumerate().take(output[0] - row) {
                    for (x, pixel) in pixels.iter().enumerate().take(output[1] - col) {
                        let index = (image * output[0] + row + y) * output[1] + col + x;
                        let at = index * writes + c;
                        let mut pixel = pixel.add(bias);
                        if let Some(residual) = self.finishing.residual.map(MapSrc::f32) {
                            pixel = pixel.add(V::load(residual.ptr().add(at)));
                        }
                        let to = self.output.ptr().add(at + index * self.finishing.gap);
                        activation::forward(self.finishing.act, pixel).store(to);
                    }
                }
            }
        }
    }
}
