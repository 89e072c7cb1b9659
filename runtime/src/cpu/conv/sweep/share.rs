//! What one thread does of a convolution's run: blocks of pixels by columns of weights, tile by tile.

use std::ops::Range;

use super::{Convolution, Finishing, Sweep};
use crate::cpu::conv::pack::Panels;
use crate::cpu::conv::tile::{Finish, Tile, channels_at_once, convolve, lines_ahead};
use crate::cpu::isa::Work;
use crate::cpu::memory::{Ahead, Dst, Src};
use crate::cpu::pool::{Part, share};
use crate::cpu::stored::MapSrc;
use crate::cpu::stream::LINE;
use crate::cpu::vector::Vector;

/// Operands of one run.
pub(super) struct Run<'a> {
    pub convolution: &'a Convolution,
    pub input: Src<'a, f32>,
    pub packed: Src<'a, f32>,
    pub finishing: &'a Finishing<'a>,
    /// Channels of the result.
    pub channels: usize,
    pub scratch: Dst<'a, f32>,
    pub output: Dst<'a, f32>,
    pub threads: usize,
}

/// What a thread is handed of the only sweep of a run.
pub(super) enum Handed<'a> {
    /// Blocks of pixels, with all panels.
    Blocks(Part<'a>),
    /// Columns (a group's panel each), with the only block.
    Columns(Part<'a>),
    /// Nothing: shares are fixed.
    Nothing,
}

/// One thread's share of a run.
pub(super) struct Share<'a> {
    pub run: &'a Run<'a>,
    pub thread: usize,
    /// The blocks of the only sweep that it is handed, or the columns of its only block, if it is.
    pub handed: Handed<'a>,
}

/// Row pointers, output indices and border copies of one block.
#[derive(Clone, Copy)]
struct Block {
    rows: *mut *const f32,
    outs: *mut usize,
    edge: *mut f32,
}

impl Work for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let Run { convolution, finishing, .. } = *self.run;
        let null = |src: Option<Src<'_, f32>>| src.map_or(std::ptr::null(), Src::ptr);
        let finish = Finish {
            bias: null(finishing.bias),
            residual: null(finishing.residual.map(MapSrc::f32)),
            act: finishing.act,
            y: self.run.output.ptr(),
            channels: self.run.channels,
            gap: finishing.gap,
        };
        for sweep in &convolution.sweeps {
            // SAFETY: `Convolution::run` has checked the lengths of everything; the shares of threads write disjoint
            // pixels or channels, and each has its own part of the scratch memory.
            unsafe { self.sweep::<V>(sweep, &finish) };
        }
    }
}

impl Share<'_> {
    /// This thread's share of one sweep, block by block: the block's row pointers first, then all panels over it, so that
    /// the block's input is read from memory once.
    #[inline(always)]
    unsafe fn sweep<V: Vector>(&mut self, sweep: &Sweep, finish: &Finish) {
        let run = self.run;
        let by_panels = run.threads / sweep.pixel_threads;
        let (pixel_part, panel_part) = (self.thread / by_panels, self.thread % by_panels);
        let all = run.convolution.geometry.attrs.groups * sweep.panels.count();
        let pixels =
            share(sweep.window.pixels(), sweep.panels.shape.scalars, pixel_part, sweep.pixel_threads);
        let columns = share(all, 1, panel_part, by_panels);
        let count = pixels.len().div_ceil(sweep.block);
        // Blocks begin where the thread's pixels do; those that are handed out, where the map's do.
        let (pixels, blocks, mut columns) = match std::mem::replace(&mut self.handed, Handed::Nothing) {
            Handed::Blocks(blocks) => (0..sweep.window.pixels(), blocks, Part::Own(columns)),
            Handed::Columns(columns) => (pixels, Part::Own(0..1), columns),
            Handed::Nothing => (pixels, Part::Own(0..count), Part::Own(columns)),
        };
        let [rows_len, outs_len] = sweep.pointers_len();
        for block in blocks {
            let start = pixels.start + block * sweep.block;
            let range = start..pixels.end.min(start + sweep.block);
            // SAFETY: the caller's promise; the parts of the scratch memory are as long as `thread_len` says.
            unsafe {
                let own = run.scratch.ptr().add(self.thread * run.convolution.thread_len);
                let (outs, edge) = (own.add(rows_len), own.add(rows_len + outs_len));
                let block = Block { rows: own.cast(), outs: outs.cast(), edge };
                self.fill(sweep, range.clone(), block);
                for (i, column) in columns.again().enumerate() {
                    self.column::<V>(sweep, column, range.len(), block, i == 0, finish);
                }
            }
        }
    }

    /// Makes the row pointers of a block's tiles, `[tile][segment][pixel]`; pixels that a last tile has too many point
    /// to zeros.
    #[inline(always)]
    unsafe fn fill(&self, sweep: &Sweep, pixels: Range<usize>, block: Block) {
        let zeros: *const f32 = self.run.convolution.zeros.bytes().as_ptr().cast();
        let window = &sweep.window;
        let (segments, scalars) = (window.segments(), sweep.panels.shape.scalars);
        let mut first = 0;
        while first < pixels.len() {
            let count = scalars.min(pixels.len() - first);
            let size = sweep.panels.shape.covering(count);
            let range = pixels.start + first..pixels.start + first + count;
            // SAFETY: the caller's promise.
            unsafe {
                let rows = block.rows.add(first * segments);
                let edge = block.edge.add(window.edge_len(first));
                window.fill(range.clone(), self.run.input.ptr(), zeros, rows, size, edge);
                window.fill_outs(range, block.outs.add(first));
                for segment in 0..segments {
                    for missing in count..size {
                        rows.add(segment * size + missing).write(zeros);
                    }
                }
            }
            first += count;
        }
    }

    /// The packed weights that are read after those of a column.
    #[inline(always)]
    fn next_weights(&self, sweep: &Sweep, column: usize) -> Range<usize> {
        let panels = sweep.panels;
        let columns = self.run.convolution.geometry.attrs.groups * panels.count();
        if columns == 1 {
            return 0..0;
        }
        let next = (column + 1) % columns;
        let (group, panel) = (next / panels.count(), next % panels.count());
        let start = sweep.packed + panels.offset(group, panel);
        start..start + panels.size(panel).1 * panels.shape.lanes * panels.depth
    }

    /// One panel of one group over a block's tiles, `new` if the block's input has not been read before; meanwhile it
    /// fetches the weights of the next panel, and the input of the next tile.
    #[inline(always)]
    unsafe fn column<V: Vector>(
        &self,
        sweep: &Sweep,
        column: usize,
        pixels: usize,
        block: Block,
        new: bool,
        finish: &Finish,
    ) {
        let Panels { shape, channels, depth } = sweep.panels;
        let (group, panel) = (column / sweep.panels.count(), column % sweep.panels.count());
        let (width, vectors) = sweep.panels.size(panel);
        let segments = sweep.window.segments();
        let len = depth / segments.max(1);
        let steps = segments * (len / channels_at_once(V::REGISTERS, vectors));
        let lines = lines_ahead(vectors);
        let mut next = self.next_weights(sweep, column);
        let packed = self.run.packed.ptr();
        let pixel_len = sweep.window.contiguous().filter(|_| new).unwrap_or(0);
        for first in (0..pixels).step_by(shape.scalars) {
            let count = shape.scalars.min(pixels - first);
            let after = shape.scalars.min(pixels - first - count);
            // SAFETY: the caller's promise.
            unsafe {
                let rows = block.rows.add(first * segments);
                let weights = packed.add(sweep.packed + sweep.panels.offset(group, panel));
                let nothing = Ahead { at: weights, step: 0 };
                let fetch_weights = Ahead { at: packed.add(next.start), step: lines * LINE };
                let fetch_input = match after * pixel_len {
                    0 => nothing,
                    floats => Ahead {
                        at: (*rows).wrapping_add(count * pixel_len),
                        step: floats.div_ceil(steps.max(1)),
                    },
                };
                let tile = Tile {
                    rows,
                    segments,
                    len,
                    from: group * len * usize::from(sweep.window.run() == 1),
                    weights,
                    count,
                    outs: block.outs.add(first),
                    channel: group * channels + panel * shape.width(),
                    width,
                    ahead: [if next.is_empty() { nothing } else { fetch_weights }, fetch_input],
                };
                convolve::<V>(shape.covering(count), vectors, &tile, finish);
            }
            next.start = next.end.min(next.start + steps * lines * LINE);
        }
    }
}
