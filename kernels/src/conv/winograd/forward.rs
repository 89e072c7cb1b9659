//! Forward and backward-data: `y = A' [sum over c of (G g_c G') * (B' d_c B)] A` for each patch `d` of the input and
//! kernel `g`.
//!
//! A block of patches is transformed to `[point][patch][channel read]`, multiplied by the packed weights of a panel point by
//! point in register tiles, and transformed back, panel by panel; all of it stays in the second-level cache, into which the
//! weights of the next point, and the pixels that the transforms will read and write, are fetched during the multiplications.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use resnetc_compiler::plan::ConvGeometry;

use super::pack::Packing;
use super::partition::Partition;
use super::patches::{Patches, Spread, load_pixels};
use super::product::{Product, multiply};
use super::size::Size;
use super::transform::{input_patch, load_points, output_patch, store_points};
use crate::choice::Estimate;
use crate::conv::bf16::Wide;
use crate::conv::epilogue::Epilogue;
use crate::conv::kernel::ConvKernel;
use crate::conv::problem::Operation;
use crate::conv::tile::panels::Panels;
use crate::conv::tile::shape::{Shape, channels_at_once};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::maps::{MapDst, MapSrc, spanned};
use crate::memory::{Ahead, Dst, LINE, Src};
use crate::pointwise::activation;
use crate::simd::{Isa, Simd, Vector, Work};
use crate::threads::{Part, chunk};

/// A 3x3 convolution of stride 1 by F(4x4, 3x3) or F(2x2, 3x3).
pub struct WinogradConvolution {
    size: Size,
    operation: Operation,
    patches: Patches,
    /// Channels of the map that is read.
    reads: usize,
    /// Channels written, and how they are cut; the depth is `reads`.
    panels: Panels,
    partition: Partition,
}

impl WinogradConvolution {
    /// A convolution that Winograd's algorithm applies to, by patches of this size.
    pub(in crate::conv) fn new(
        size: Size,
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
        let patches = Patches::new(size, g.n, input, output, padding, reads)?;
        let panels = Panels { shape: Shape::new(isa, writes), channels: writes, depth: reads };
        let partition = Partition::new(size, patches.count(), panels, threads);
        Ok(WinogradConvolution { size, operation, patches, reads, panels, partition })
    }

    /// Expected cycles of the busiest thread.
    pub fn estimate(&self) -> &Estimate {
        &self.partition.estimate
    }

    /// Floats of scratch memory of one thread: patches read, patches written.
    fn thread_len(&self) -> usize {
        self.size.points() * self.partition.planes(self.panels).iter().sum::<usize>()
    }
}

impl ConvKernel for WinogradConvolution {
    fn packed_len(&self) -> usize {
        self.size.points() * self.panels.group_len()
    }

    fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        assert_eq!(weight.len(), 9 * self.reads * self.panels.channels, "weight");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        let threads = ctx.threads.count();
        ctx.threads.run(&|thread| {
            let items = chunk(self.panels.count() * self.reads, 1, thread, threads);
            ctx.isa.dispatch(Packing {
                size: self.size,
                operation: self.operation,
                panels: self.panels,
                weight,
                packed,
                items,
            });
        });
    }

    fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let (input, output) = (input.f32(), output.f32());
        let (reads, writes) = (self.reads, self.panels.channels);
        let threads = ctx.threads.count();
        let [read, pixels] = self.patches.pixels();
        assert_eq!(input.len(), read * reads, "input");
        assert_eq!(output.len(), spanned(pixels, writes, epilogue.gap), "output");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        epilogue.expect(pixels, writes);
        let work = |thread: usize, blocks: Part<'_>, panels: Part<'_>| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let worker = Worker { winograd: self, input, packed, epilogue, output, own };
            ctx.isa.dispatch(Blocks { worker, blocks, panels });
        };
        let blocks = self.patches.count().div_ceil(self.partition.block);
        let panels = self.panels.count();
        if self.partition.by_patches {
            ctx.threads.hand_out(blocks, &|thread, blocks| work(thread, blocks, Part::Own(0..panels)));
        } else if blocks == 1 {
            ctx.threads.hand_out(panels, &|thread, panels| work(thread, Part::Own(0..1), panels));
        } else {
            ctx.threads.run(&|thread| {
                work(thread, Part::Own(0..blocks), Part::Own(chunk(panels, 1, thread, threads)));
            });
        }
    }
}

/// Packed weights are sums of weights, and a patch is stored as `f32`.
impl Wide for WinogradConvolution {
    const PACKS_SUMS: bool = true;
    const STORES_BF16: bool = false;
}

/// The operands of a run.
struct Worker<'a> {
    winograd: &'a WinogradConvolution,
    input: Src<'a, f32>,
    packed: Src<'a, f32>,
    epilogue: &'a Epilogue<'a>,
    output: Dst<'a, f32>,
    /// This thread's scratch memory.
    own: *mut f32,
}

/// What one thread does of a run: `panels` of the `blocks` of patches.
struct Blocks<'a> {
    worker: Worker<'a>,
    blocks: Part<'a>,
    panels: Part<'a>,
}

impl Work for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: `WinogradConvolution::run` has checked the lengths; threads write disjoint pixels or channels, and the scratch
        // memory is this thread's.
        unsafe {
            match self.worker.winograd.size {
                Size::Four => self.run_patches::<V, 6, 4>(simd),
                Size::Two => self.run_patches::<V, 4, 2>(simd),
            }
        }
    }
}

impl Blocks<'_> {
    #[inline(always)]
    unsafe fn run_patches<V: Vector, const IN: usize, const OUT: usize>(self, simd: Simd<V>) {
        let Blocks { worker, blocks, mut panels } = self;
        let w = worker.winograd;
        let (count, size) = (w.patches.count(), w.partition.block);
        let patches = |block: usize| block * size..count.min((block + 1) * size);
        let steps = panels.count_left() * w.size.points() * size.div_ceil(w.panels.shape.scalars);
        let mut blocks = blocks.map(patches).peekable();
        while let Some(block) = blocks.next() {
            let next = blocks.peek().cloned().unwrap_or(0..0);
            let mut pixels = Spread::new(&next, w.size, steps);
            // SAFETY: the caller's promise.
            unsafe {
                for (i, patch) in block.clone().enumerate() {
                    worker.transform::<V, IN>(simd, patch, i);
                }
                for panel in panels.again() {
                    worker.multiply::<V>(simd, block.clone(), panel, &mut pixels);
                    for (i, patch) in block.clone().enumerate() {
                        worker.finish::<V, IN, OUT>(simd, patch, i, panel);
                    }
                }
            }
        }
    }
}

impl Worker<'_> {
    /// The transformed patches of the result.
    fn products(&self) -> *mut f32 {
        let w = self.winograd;
        self.own.wrapping_add(w.size.points() * w.partition.planes(w.panels)[0])
    }

    /// Transforms an input patch, the `i`-th of the block.
    #[inline(always)]
    unsafe fn transform<V: Vector, const IN: usize>(&self, simd: Simd<V>, patch: usize, i: usize) {
        let w = self.winograd;
        let pixels = w.patches.inputs::<IN>(self.input.ptr(), w.reads, patch);
        let to = self.own.wrapping_add(i * w.reads);
        let [plane, _] = w.partition.planes(w.panels);
        for c in (0..w.reads).step_by(V::LANES) {
            // SAFETY: the pixels have `reads` channels, which fill vectors; `i` is in the block.
            unsafe {
                let points = input_patch::<V, IN>(&load_pixels(simd, &pixels, c));
                store_points(&points, to.add(c), plane);
            }
        }
    }

    /// Multiplies the planes of a block with a panel, and fetches what the results need, some of the next block's
    /// pixels, and the weights of the next point (after the last one, of the next panel).
    #[inline(always)]
    unsafe fn multiply<V: Vector>(
        &self,
        simd: Simd<V>,
        block: Range<usize>,
        panel: usize,
        pixels: &mut Spread,
    ) {
        let w = self.winograd;
        let [plane, product] = w.partition.planes(w.panels);
        let (points, shape, reads) = (w.size.points(), w.panels.shape, w.reads);
        let (_, vectors) = w.panels.size(panel);
        let chunk = reads * vectors * V::LANES;
        let count = block.len();
        let turns = reads / channels_at_once(V::REGISTERS, vectors);
        let lines = (chunk / LINE).div_ceil(turns * count.div_ceil(shape.scalars));
        let fetches = turns * lines * LINE;
        let mut results = Spread::new(&block, w.size, points * count.div_ceil(shape.scalars));
        for point in 0..points {
            let weights = points * w.panels.offset(0, panel) + point * chunk;
            let mut fetched = 0;
            for first in (0..count).step_by(shape.scalars) {
                pixels.step(|patch, row| w.patches.fetch_input(self.input.ptr(), reads, patch, row));
                results.step(|patch, row| self.fetch_result(patch, row, panel));
                // SAFETY: the caller's promise. A tile may reach beyond the patches, not beyond a block, which is
                // a multiple of it: what it finds and leaves there is not used.
                unsafe {
                    let b = self.packed.ptr().add(weights);
                    let ahead = match fetched < chunk {
                        true => Ahead { at: b.wrapping_add(chunk + fetched), step: lines * LINE, lines },
                        false => Ahead { at: b, step: 0, lines: 0 },
                    };
                    let tile = Product {
                        a: self.own.add(point * plane + first * reads),
                        reads,
                        b,
                        c: self.products().add(point * product + first * shape.width()),
                        writes: shape.width(),
                        ahead,
                    };
                    multiply::<V>(simd, shape.covering(count - first), vectors, &tile);
                }
                fetched += fetches;
            }
        }
    }

    /// The channels of a panel.
    #[inline(always)]
    fn channels(&self, panel: usize) -> Range<usize> {
        let panels = self.winograd.panels;
        let first = panel * panels.shape.width();
        first..first + panels.size(panel).0
    }

    /// Asks for pixels that [`Worker::finish`] will write, and add.
    #[inline(always)]
    fn fetch_result(&self, patch: usize, row: usize, panel: usize) {
        let w = self.winograd;
        let (writes, channels) = (w.panels.channels, self.channels(panel));
        let stride = writes + self.epilogue.gap;
        w.patches.fetch_output(self.output.ptr(), stride, channels.clone(), patch, row);
        let residual = self.epilogue.residual.map(|residual| residual.f32().ptr());
        if let Some(residual) = residual.filter(|&residual| residual != self.output.ptr().cast_const()) {
            w.patches.fetch_output(residual, writes, channels, patch, row);
        }
    }

    /// Transforms a panel's products of a patch back, and finishes and stores those of its pixels that the map has.
    #[inline(always)]
    unsafe fn finish<V: Vector, const IN: usize, const OUT: usize>(
        &self,
        simd: Simd<V>,
        patch: usize,
        i: usize,
        panel: usize,
    ) {
        let w = self.winograd;
        let [image, row, col] = w.patches.place(patch);
        let output = w.patches.output();
        let size = [output[0] - row, output[1] - col];
        let first = (image * output[0] + row) * output[1] + col;
        let [_, plane] = w.partition.planes(w.panels);
        let mut from = self.products().wrapping_add(i * w.panels.shape.width());
        for c in self.channels(panel).step_by(V::LANES) {
            // SAFETY: the caller's promise; channels fill vectors.
            unsafe {
                let pixels = output_patch::<V, IN, OUT>(&load_points(simd, from, plane));
                if size[0] >= OUT && size[1] >= OUT {
                    self.store::<V, OUT, true>(simd, &pixels, first, c, size);
                } else {
                    self.store::<V, OUT, false>(simd, &pixels, first, c, size);
                }
            }
            from = from.wrapping_add(V::LANES);
        }
    }

    /// Finishes and stores a vector of the pixels of a patch, `first` being its first pixel: all, or those of the first
    /// `size` rows and columns. Activations that take long are applied in a second pass, as in the register tiles.
    #[inline(always)]
    unsafe fn store<V: Vector, const OUT: usize, const WHOLE: bool>(
        &self,
        simd: Simd<V>,
        pixels: &[[V; OUT]; OUT],
        first: usize,
        c: usize,
        size: [usize; 2],
    ) {
        let writes = self.winograd.panels.channels;
        let cols = self.winograd.patches.output()[1];
        let Epilogue { bias, residual, act, gap } = *self.epilogue;
        let to = |y: usize, x: usize| {
            let pixel = first + y * cols + x;
            self.output.ptr().wrapping_add(pixel * (writes + gap) + c)
        };
        // SAFETY: the caller's promise.
        unsafe {
            let floor = simd.splat(activation::floor(act));
            let bias = bias.map_or(simd.zero(), |bias| simd.load(bias.ptr().add(c)));
            for y in 0..OUT {
                for x in 0..OUT {
                    if WHOLE || (y < size[0] && x < size[1]) {
                        let mut pixel = pixels[y][x].add(bias);
                        if let Some(residual) = residual.map(MapSrc::f32) {
                            let at = (first + y * cols + x) * writes + c;
                            pixel = pixel.add(simd.load(residual.ptr().add(at)));
                        }
                        floor.max(pixel).store(to(y, x));
                    }
                }
            }
            if let Some(act) = activation::late(act) {
                for y in 0..OUT.min(size[0]) {
                    for x in 0..OUT.min(size[1]) {
                        activation::forward(Some(act), simd.load(to(y, x))).store(to(y, x));
                    }
                }
            }
        }
    }
}
