//! What one thread does of a convolution's run: blocks of pixels by columns of weights, tile by tile.

use std::ops::Range;

use bytemuck::Pod;

use super::partition::{Cut, Partition};
use super::phase::Phase;
use crate::conv::epilogue::Epilogue;
use crate::conv::tile::convolve::{Tile, convolve};
use crate::conv::tile::epilogue::{Map, Maps, Place, TileEpilogue};
use crate::conv::tile::panels::Panels;
use crate::conv::tile::shape::channels_at_once;
use crate::maps::{MapDst, MapSrc};
use crate::memory::{Ahead, Dst, LINE, Src};
use crate::simd::{Simd, Vector, Work};
use crate::threads::{Part, chunk};

/// Operands of one run.
pub(super) struct Run<'a> {
    pub phases: &'a [Phase],
    pub groups: usize,
    /// At least as many as a window asks for.
    pub zeros: Src<'a, f32>,
    /// Floats of scratch memory of one thread.
    pub thread_len: usize,
    pub input: Src<'a, f32>,
    pub packed: Src<'a, f32>,
    pub epilogue: &'a Epilogue<'a>,
    /// Channels of the result.
    pub channels: usize,
    pub scratch: Dst<'a, f32>,
    pub output: MapDst<'a>,
    pub threads: usize,
}

/// One thread's share of a run, of floats or of pairs.
pub(super) struct Worker<'a, const BF16_DOT: bool> {
    pub run: &'a Run<'a>,
    pub thread: usize,
    /// What it is handed of the only phase, as its cut says: nothing where shares are fixed.
    pub handed: Part<'a>,
}

/// Row pointers, output indices and border copies of one block.
#[derive(Clone, Copy)]
struct Block {
    rows: *mut *const f32,
    outs: *mut usize,
    edge: *mut f32,
    /// Its pixels.
    pixels: usize,
    /// Whether a thread has a column's next weights to fetch with each part of them.
    divided: bool,
}

/// Null where there is nothing.
fn pointer<T: Pod>(src: Option<Src<'_, T>>) -> *const T {
    src.map_or(std::ptr::null(), Src::ptr)
}

impl<const BF16_DOT: bool> Work for Worker<'_, BF16_DOT> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, simd: Simd<V>) {
        let Run { phases, epilogue, .. } = *self.run;
        let residual = epilogue.residual;
        let epilogue = TileEpilogue {
            bias: pointer(epilogue.bias),
            act: epilogue.act,
            maps: match self.run.output {
                MapDst::F32(y) => Maps::F32(Map { y: y.ptr(), residual: pointer(residual.map(MapSrc::f32)) }),
                MapDst::Bf16(y) => {
                    Maps::Bf16(Map { y: y.ptr(), residual: pointer(residual.map(MapSrc::bf16)) })
                }
            },
            channels: self.run.channels,
            gap: epilogue.gap,
        };
        for phase in phases {
            // SAFETY: `DirectConvolution::run` has checked the lengths of everything; the shares of threads write disjoint
            // pixels or channels, and each has its own part of the scratch memory.
            unsafe { self.phase::<V>(simd, phase, &epilogue) };
        }
    }
}

impl<const BF16_DOT: bool> Worker<'_, BF16_DOT> {
    /// This thread's share of one phase, block by block: the block's row pointers first, then all panels over it, so that
    /// the block's input is read from memory once.
    #[inline(always)]
    unsafe fn phase<V: Vector>(&mut self, simd: Simd<V>, phase: &Phase, epilogue: &TileEpilogue) {
        let run = self.run;
        let Partition { cut, block: size } = phase.partition;
        let (all, scalars) = (phase.window.pixels(), phase.panels.shape.scalars);
        let columns = run.groups * phase.panels.count();
        let handed = std::mem::replace(&mut self.handed, Part::Own(0..0));
        let (own, blocks, mut items) = match cut {
            Cut::Blocks => (0..all, handed, Part::Own(0..columns)),
            Cut::Parts(_) | Cut::Columns(_) => (0..all, Part::Own(0..1), handed),
            Cut::Fixed(by_pixels) => {
                let by_columns = run.threads / by_pixels;
                let own = chunk(all, scalars, self.thread / by_columns, by_pixels);
                let blocks = own.len().div_ceil(size);
                let columns = chunk(columns, 1, self.thread % by_columns, by_columns);
                (own, Part::Own(0..blocks), Part::Own(columns))
            }
        };
        let [rows_len, outs_len] = phase.pointers_len();
        for block in blocks {
            let start = own.start + block * size;
            let range = start..own.end.min(start + size);
            // SAFETY: the caller's promise; the parts of the scratch memory are as long as `thread_len` says.
            unsafe {
                let scratch = run.scratch.ptr().add(self.thread * run.thread_len);
                let (outs, edge) = (scratch.add(rows_len), scratch.add(rows_len + outs_len));
                let (pixels, divided) = (range.len(), matches!(cut, Cut::Columns(_)));
                let block = Block { rows: scratch.cast(), outs: outs.cast(), edge, pixels, divided };
                self.fill(phase, range.clone(), block);
                let mut seen = 0_u64;
                for item in items.again() {
                    let [column, part] = cut.item(item, columns);
                    // Parts beyond those a word has bits for may be fetched too rarely: nothing else depends on it.
                    let new = seen & 1 << (part % 64) == 0;
                    seen |= 1 << (part % 64);
                    let pixels = chunk(range.len(), scalars, part, cut.parts());
                    self.column::<V>(simd, phase, column, pixels, block, new, epilogue);
                }
            }
        }
    }

    /// Makes the row pointers of a block's tiles, `[tile][segment][pixel]`; pixels that a last tile has too many point
    /// to zeros.
    #[inline(always)]
    unsafe fn fill(&self, phase: &Phase, pixels: Range<usize>, block: Block) {
        let zeros: *const f32 = self.run.zeros.ptr();
        let window = &phase.window;
        let (segments, scalars) = (window.segments(), phase.panels.shape.scalars);
        let mut first = 0;
        while first < pixels.len() {
            let count = scalars.min(pixels.len() - first);
            let size = phase.panels.shape.covering(count);
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

    /// One panel of one group over some of a block's tiles, `new` if their input may not have been read before: slice by
    /// slice of its taps, the sums of all but the last one waiting in the result.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // what the loops of its callers have reached
    unsafe fn column<V: Vector>(
        &self,
        simd: Simd<V>,
        phase: &Phase,
        column: usize,
        pixels: Range<usize>,
        block: Block,
        new: bool,
        epilogue: &TileEpilogue,
    ) {
        let segments = phase.window.segments();
        // Where the result waits nothing else may be, and it is read as a residual is: without gaps. Sums are not rounded.
        let (slice, waiting) = match epilogue.maps {
            Maps::F32(map) if map.residual.is_null() && epilogue.gap == 0 => {
                (phase.slice, Maps::F32(Map { residual: map.y, ..map }))
            }
            maps => (segments, maps),
        };
        let mut first = 0;
        // At least once: a phase without taps has a result, too.
        loop {
            let last = segments.min(first + slice);
            let maps = if first > 0 { waiting } else { epilogue.maps };
            let epilogue = match last < segments {
                true => TileEpilogue { bias: std::ptr::null(), act: None, maps, ..*epilogue },
                false => TileEpilogue { maps, ..*epilogue },
            };
            // SAFETY: the caller's promise.
            unsafe {
                self.slice::<V>(simd, phase, column, first..last, pixels.clone(), block, new, &epilogue)
            };
            first = last;
            if first == segments {
                break;
            }
        }
    }

    /// Some runs of one panel over a block's tiles; meanwhile it fetches the weights that are read next, and the input of
    /// the next tile.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // what the loops of its callers have reached
    unsafe fn slice<V: Vector>(
        &self,
        simd: Simd<V>,
        phase: &Phase,
        column: usize,
        runs: Range<usize>,
        pixels: Range<usize>,
        block: Block,
        new: bool,
        epilogue: &TileEpilogue,
    ) {
        let Panels { shape, channels, depth } = phase.panels;
        let (group, panel) = (column / phase.panels.count(), column % phase.panels.count());
        let (width, vectors) = phase.panels.size(panel);
        let segments = phase.window.segments();
        let len = depth / segments.max(1);
        let turns = runs.len() * (len / channels_at_once(V::REGISTERS, vectors));
        let tiles = pixels.len().div_ceil(shape.scalars);
        let row = len * vectors * shape.lanes;
        let weights = self.weights(phase, column).wrapping_add(runs.start * row);
        let (next, later) = self.next_weights(phase, column, weights.wrapping_add(runs.len() * row));
        let own = match block.divided && runs.end == segments {
            true => later * pixels.start / block.pixels..later * pixels.end / block.pixels,
            false => 0..later,
        };
        let lines = own.len().div_ceil(LINE).div_ceil((turns * tiles).max(1));
        let (mut next, end) = (next.wrapping_add(own.start), next.wrapping_add(own.end));
        let pixel_len = phase.window.contiguous().filter(|_| new).unwrap_or(0);
        let nothing = Ahead { at: weights, step: 0, lines: 0 };
        for first in pixels.clone().step_by(shape.scalars) {
            let count = shape.scalars.min(pixels.end - first);
            let after = shape.scalars.min(pixels.end - first - count);
            let size = shape.covering(count);
            // SAFETY: the caller's promise.
            unsafe {
                let rows = block.rows.add(first * segments + runs.start * size);
                let fetch_input = match after * pixel_len {
                    0 => nothing,
                    floats => Ahead {
                        at: (*rows).wrapping_add(count * pixel_len),
                        step: floats.div_ceil(turns.max(1)),
                        lines: 1,
                    },
                };
                let fetch_weights = Ahead { at: next, step: lines * LINE, lines };
                let tile = Tile {
                    rows,
                    segments: runs.len(),
                    len,
                    from: group * len * usize::from(phase.window.run() == 1),
                    weights,
                    to: Place {
                        count,
                        outs: block.outs.add(first),
                        channel: group * channels + panel * shape.width(),
                        width,
                    },
                    ahead: [if next < end { fetch_weights } else { nothing }, fetch_input],
                };
                convolve::<V, BF16_DOT>(simd, size, vectors, &tile, epilogue);
            }
            next = next.wrapping_add(turns * lines * LINE);
        }
    }

    /// The packed weights of a column.
    #[inline(always)]
    fn weights(&self, phase: &Phase, column: usize) -> *const f32 {
        let (group, panel) = (column / phase.panels.count(), column % phase.panels.count());
        self.run.packed.ptr().wrapping_add(phase.packed + phase.panels.offset(group, panel))
    }

    /// The packed weights that are read after those of a column up to `end`, and how many: the column's own, or those that the
    /// next one begins with, as many as are read at a time.
    #[inline(always)]
    fn next_weights(&self, phase: &Phase, column: usize, end: *const f32) -> (*const f32, usize) {
        let panels = phase.panels;
        let columns = self.run.groups * panels.count();
        let len = |column: usize| panels.size(column % panels.count()).1 * panels.shape.lanes * panels.depth;
        let slice = |column: usize| len(column) / phase.window.segments().max(1) * phase.slice;
        let own = self.weights(phase, column).wrapping_add(len(column));
        match (end < own, columns) {
            (true, _) => (end, slice(column).min((own.addr() - end.addr()) / size_of::<f32>())),
            (false, 1) => (end, 0),
            (false, _) => {
                let next = (column + 1) % columns;
                (self.weights(phase, next), slice(next).min(len(next)))
            }
        }
    }
}
