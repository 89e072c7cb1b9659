//! Forward and backward-data: `y = A' [sum over c of (G g_c G') * (B' d_c B)] A` for each 6x6 patch `d` of the input and
//! kernel `g`.
//!
//! A block of patches is transformed to `[point][patch][channel read]`, multiplied by the packed weights point by point
//! in register tiles, and transformed back; all of it stays in the second-level cache, into which the pixels that the
//! transforms will read and write are fetched during the multiplications.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use resnetc_compiler::plan::ConvGeometry;

use super::pack::Packing;
use super::patches::{Patches, Spread, load_pixels};
use super::product::{Product, multiply};
use super::transform::{OUT, POINTS, input_patch, load_points, output_patch, store_points};
use super::{PLANE_PAD, applies};
use crate::cpu::Ctx;
use crate::cpu::activation;
use crate::cpu::conv::pack::Panels;
use crate::cpu::conv::tile::Shape;
use crate::cpu::conv::{BLOCKS, Finishing, Operation};
use crate::cpu::isa::{Isa, Work};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::{Part, share};
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
    /// How many threads share the patches: all, or one, and the panels are shared instead.
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
        let even = all.div_ceil(patch_threads * BLOCKS).next_multiple_of(scalars);
        let block = fitting.max(scalars).min(even);
        Ok(Winograd { operation, patches, reads, panels, block, patch_threads })
    }

    /// Patches of all images.
    pub fn count(&self) -> usize {
        self.patches.count()
    }

    /// Bytes of packed weights that a thread reads, and how often it does.
    pub fn weight_reads(&self, threads: usize) -> [usize; 2] {
        let bytes = self.packed_len() * size_of::<f32>() * self.patch_threads / threads;
        [bytes, self.count().div_ceil(self.patch_threads).div_ceil(self.block)]
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

    /// Floats of scratch memory of one thread: patches read, patches written.
    fn thread_len(&self) -> usize {
        POINTS * self.planes().iter().sum::<usize>()
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
            ctx.isa.dispatch(Packing {
                operation: self.operation,
                panels: self.panels,
                weight,
                packed,
                items,
            });
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
        finishing.expect(pixels, writes);
        let blocks = self.count().div_ceil(self.block);
        let share_of = |thread: usize| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            Share { winograd: self, input, packed, finishing, output, own }
        };
        if self.patch_threads == threads {
            ctx.pool.hand_out(blocks, &|thread, blocks| {
                let panels = 0..self.panels.count();
                ctx.isa.dispatch(Blocks { share: share_of(thread), blocks, panels });
            });
        } else {
            ctx.pool.run(&|thread| {
                let panels = share(self.panels.count(), 1, thread, threads);
                ctx.isa.dispatch(Blocks { share: share_of(thread), blocks: Part::Own(0..blocks), panels });
            });
        }
    }
}

/// The operands of a run.
struct Share<'a> {
    winograd: &'a Winograd,
    input: Src<'a, f32>,
    packed: Src<'a, f32>,
    finishing: &'a Finishing<'a>,
    output: Dst<'a, f32>,
    /// This thread's scratch memory.
    own: *mut f32,
}

/// What one thread does of a run: `panels` of the `blocks` of patches.
struct Blocks<'a> {
    share: Share<'a>,
    blocks: Part<'a>,
    panels: Range<usize>,
}

impl Work for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Blocks { share, blocks, panels } = self;
        let w = share.winograd;
        let patches = |block: usize| block * w.block..w.count().min((block + 1) * w.block);
        let mut blocks = blocks.map(patches).peekable();
        while let Some(block) = blocks.next() {
            let next = blocks.peek().cloned().unwrap_or(0..0);
            // SAFETY: `Winograd::run` has checked the lengths; threads write disjoint pixels or channels, and the
            // scratch memory is this thread's.
            unsafe {
                for (i, patch) in block.clone().enumerate() {
                    share.transform::<V>(patch, i);
                }
                share.multiply::<V>(block.clone(), next, panels.clone());
                for (i, patch) in block.enumerate() {
                    share.finish::<V>(patch, i, panels.clone());
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

    /// Multiplies the planes of a block with some panels, and fetches what the results need and the next block's pixels.
    #[inline(always)]
    unsafe fn multiply<V: Vector>(&self, block: Range<usize>, next: Range<usize>, panels: Range<usize>) {
        let w = self.winograd;
        let [reads, writes] = w.channels();
        let [plane, product] = w.planes();
        let shape = w.panels.shape;
        let count = block.len();
        let steps = POINTS * panels.len() * count.div_ceil(shape.scalars);
        let (mut ahead, mut results) = (Spread::new(&next, steps), Spread::new(&block, steps));
        for point in 0..POINTS {
            for panel in panels.clone() {
                let (_, vectors) = w.panels.size(panel);
                let weights = point * w.panels.group_len() + w.panels.offset(0, panel);
                for first in (0..count).step_by(shape.scalars) {
                    ahead.step(|patch, row| {
                        w.patches.fetch_input(self.input.ptr(), reads, patch, row);
                    });
                    results.step(|patch, row| self.fetch_result(patch, row));
                    let from = point * plane + first * reads;
                    let to = point * product + first * writes + panel * shape.width();
                    // SAFETY: the caller's promise. A tile may reach beyond the patches, not beyond a block, which is
                    // a multiple of it: what it finds and leaves there is not used.
                    unsafe {
                        let tile = Product {
                            a: self.own.add(from),
                            reads,
                            b: self.packed.ptr().add(weights),
                            c: self.products().add(to),
                            writes,
                        };
                        multiply::<V>(shape.covering(count - first), vectors, &tile);
                    }
                }
            }
        }
    }

    /// Asks for pixels that [`Share::finish`] will write, and add.
    #[inline(always)]
    fn fetch_result(&self, patch: usize, row: usize) {
        let w = self.winograd;
        let [_, writes] = w.channels();
        w.patches.fetch_output(self.output.ptr(), writes, self.finishing.gap, patch, row);
        let residual = self.finishing.residual.map(|residual| residual.f32().ptr());
        if let Some(residual) = residual.filter(|&residual| residual != self.output.ptr().cast_const()) {
            w.patches.fetch_output(residual, writes, 0, patch, row);
        }
    }

    /// Transforms the products of a patch back, and finishes and stores those of its pixels that the map has.
    #[inline(always)]
    unsafe fn finish<V: Vector>(&self, patch: usize, i: usize, panels: Range<usize>) {
        let w = self.winograd;
        let writes = w.panels.channels;
        let [image, row, col] = w.patches.place(patch);
        let output = w.patches.output();
        let size = [output[0] - row, output[1] - col];
        let first = (image * output[0] + row) * output[1] + col;
        let plane = w.planes()[1];
        let width = w.panels.shape.width();
        for c in (panels.start * width..writes.min(panels.end * width)).step_by(V::LANES) {
            let from = self.products().wrapping_add(i * writes + c);
            // SAFETY: the caller's promise; channels fill vectors.
            unsafe {
                let pixels = output_patch::<V>(&load_points(from, plane));
                if size[0] >= OUT && size[1] >= OUT {
                    self.store::<V, true>(&pixels, first, c, size);
                } else {
                    self.store::<V, false>(&pixels, first, c, size);
                }
            }
        }
    }

    /// Finishes and stores a vector of the pixels of a patch, `first` being its first pixel: all, or those of the first
    /// `size` rows and columns. Activations that take long are applied in a second pass, as in the register tiles.
    #[inline(always)]
    unsafe fn store<V: Vector, const WHOLE: bool>(
        &self,
        pixels: &[[V; OUT]; OUT],
        first: usize,
        c: usize,
        size: [usize; 2],
    ) {
        let writes = self.winograd.panels.channels;
        let cols = self.winograd.patches.output()[1];
        let Finishing { bias, residual, act, gap } = *self.finishing;
        let to = |y: usize, x: usize| {
            let pixel = first + y * cols + x;
            self.output.ptr().wrapping_add(pixel * (writes + gap) + c)
        };
        // SAFETY: the caller's promise.
        unsafe {
            let floor = V::splat(activation::floor(act));
            let bias = bias.map_or(V::zero(), |bias| V::load(bias.ptr().add(c)));
            for y in 0..OUT {
                for x in 0..OUT {
                    if WHOLE || (y < size[0] && x < size[1]) {
                        let mut pixel = pixels[y][x].add(bias);
                        if let Some(residual) = residual.map(MapSrc::f32) {
                            let at = (first + y * cols + x) * writes + c;
                            pixel = pixel.add(V::load(residual.ptr().add(at)));
                        }
                        floor.max(pixel).store(to(y, x));
                    }
                }
            }
            if let Some(act) = activation::late(act) {
                for y in 0..OUT.min(size[0]) {
                    for x in 0..OUT.min(size[1]) {
                        activation::forward(Some(act), V::load(to(y, x))).store(to(y, x));
                    }
                }
            }
        }
    }
}
