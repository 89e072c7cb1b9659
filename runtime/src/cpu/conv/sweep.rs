//! Runs convolutions: the forward one, and the backward-data one, which is a forward one over `dy` per phase of the stride.

mod partition;
mod share;

use resnetc_compiler::ir::op::Activation;
use resnetc_compiler::plan::ConvGeometry;

use super::pack::{Panels, copy_rows, pair_columns, pair_rows, transpose};
use super::tile::Shape;
use super::window::{Tap, Window};
use super::{MERGE_FLOATS, Operation};
use crate::cpu::Ctx;
use crate::cpu::isa::Isa;
use crate::cpu::memory::{Dst, Memory, Src};
use crate::cpu::pool::{Part, share};
use crate::cpu::stored::{MapDst, MapSrc};
use crate::cpu::stream::spanned;
use crate::error::Result;
use partition::Partition;
use share::{Run, Share};

/// Floats of a panel that are multiplied at a time with all pixels of a block, if it has several taps: those of larger panels
/// would not stay in a second-level cache from tile to tile.
const SLICE_FLOATS: usize = 128 << 10;

/// One dense grid of output pixels with its packed weights.
struct Sweep {
    window: Window,
    panels: Panels,
    /// Kernel taps in the order of the packed weights, `[row, column]`.
    taps: Vec<[usize; 2]>,
    /// First float of its packed weights.
    packed: usize,
    partition: Partition,
    /// Runs of a panel that are multiplied at a time with all pixels of a block.
    slice: usize,
}

/// What a convolution multiplies. Either has the size of a float, and what counts floats of weights and of the map that is read
/// counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Single precision.
    Floats,
    /// Two channels of a pixel, or their weights, in bf16: where there is an instruction that adds up both products.
    Pairs,
}

impl Factors {
    /// Channels in each.
    fn channels(self) -> usize {
        match self {
            Factors::Floats => 1,
            Factors::Pairs => 2,
        }
    }
}

/// A convolution with everything decided that sizes decide.
pub struct Convolution {
    geometry: ConvGeometry,
    factors: Factors,
    operation: Operation,
    sweeps: Vec<Sweep>,
    packed_len: usize,
    /// Floats of row pointers, output indices and border copies of one thread.
    thread_len: usize,
    zeros: Memory,
}

/// What is added to and done with the result before it is stored.
#[derive(Clone, Copy, Default)]
pub struct Finishing<'a> {
    /// `[channels]`
    pub bias: Option<Src<'a, f32>>,
    /// Of the result's shape, without gaps; may be the result's memory.
    pub residual: Option<MapSrc<'a>>,
    /// Applied last.
    pub act: Option<Activation>,
    /// Floats between the pixels of the result.
    pub gap: usize,
}

impl Finishing<'_> {
    /// Checks that operands are those of a result of so many pixels and channels.
    pub(super) fn expect(&self, pixels: usize, channels: usize) {
        assert!(self.bias.is_none_or(|b| b.len() == channels), "bias");
        assert!(self.residual.is_none_or(|r| r.len() == pixels * channels), "residual");
    }
}

impl Convolution {
    /// `y` of `x`, or `dx` of `dy`, by multiplying floats, or pairs, into which the channels read of each group are divided.
    pub(super) fn new(
        geometry: ConvGeometry,
        operation: Operation,
        factors: Factors,
        isa: Isa,
        threads: usize,
    ) -> Result<Self> {
        let layer = Layer { g: &geometry, operation, factors, isa, threads };
        let mut sweeps = match operation {
            Operation::Forward => vec![layer.forward()],
            Operation::BackwardData => layer.backward_data(),
        };
        let mut packed_len = 0;
        for sweep in &mut sweeps {
            sweep.packed = packed_len;
            packed_len += sweep.panels.group_len() * geometry.attrs.groups;
        }
        let thread_len = sweeps.iter().map(Sweep::thread_len).max().unwrap_or(0);
        let zeros = Memory::floats(sweeps.iter().map(|s| s.window.zeros_len()).max().unwrap_or(0))?;
        debug_assert!(threads > 0);
        Ok(Convolution { geometry, factors, operation, sweeps, packed_len, thread_len, zeros })
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// Floats of scratch memory that [`Convolution::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len * threads
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let a = &self.geometry.attrs;
        let taps = a.kernel[0] * a.kernel[1];
        assert_eq!(weight.len(), taps * self.geometry.cin / a.groups * self.geometry.cout, "weight");
        assert!(packed.len() >= self.packed_len, "packed weights");
        let threads = ctx.pool.threads();
        ctx.pool.run(&|thread| {
            for sweep in &self.sweeps {
                let panels = sweep.panels.count();
                // An item is one tap of one panel of one group.
                let items = a.groups * panels * sweep.taps.len();
                for item in share(items, 1, thread, threads) {
                    let (rest, tap) = (item / sweep.taps.len(), item % sweep.taps.len());
                    // SAFETY: items write disjoint parts of the packed weights, whose length is checked.
                    unsafe { self.pack_tap(sweep, rest / panels, rest % panels, tap, weight, packed) };
                }
            }
        });
    }

    /// Packs tap `tap` (in packed order) of one panel.
    unsafe fn pack_tap(
        &self,
        sweep: &Sweep,
        group: usize,
        panel: usize,
        tap: usize,
        weight: Src<'_, f32>,
        packed: Dst<'_, f32>,
    ) {
        let g = &self.geometry;
        let (cin, cout) = (g.cin / g.attrs.groups, g.cout / g.attrs.groups);
        let (width, vectors) = sweep.panels.size(panel);
        let padded = vectors * sweep.panels.shape.lanes;
        let first = panel * sweep.panels.shape.width();
        let [row, col] = sweep.taps[tap];
        let from = (row * g.attrs.kernel[1] + col) * cin * g.cout + group * cout;
        let to = sweep.packed + sweep.panels.offset(group, panel);
        let reads = sweep.panels.depth / sweep.taps.len();
        // SAFETY: inside of the weights and the packed weights, whose lengths the caller checked.
        unsafe {
            let (from, to) = (weight.ptr().add(from), packed.ptr().add(to + tap * reads * padded));
            match (self.operation, self.factors) {
                (Operation::Forward, Factors::Floats) => {
                    copy_rows(from.add(first), g.cout, reads, width, padded, to);
                }
                (Operation::Forward, Factors::Pairs) => {
                    pair_rows(from.add(first), g.cout, reads, width, padded, to);
                }
                (Operation::BackwardData, Factors::Floats) => {
                    transpose(from.add(first * g.cout), g.cout, reads, width, padded, to);
                }
                (Operation::BackwardData, Factors::Pairs) => {
                    pair_columns(from.add(first * g.cout), g.cout, reads, width, padded, to);
                }
            }
        }
    }

    /// Computes the result of the factors that are read: those of `x` forward, of `dy` backward. A residual is stored as the
    /// output is.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, f32>,
        packed: Src<'_, f32>,
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let g = &self.geometry;
        let [input_len, output_len] = self.operation.maps(g);
        let channels = if self.operation == Operation::Forward { g.cout } else { g.cin };
        let threads = ctx.pool.threads();
        assert_eq!(input.len() * self.factors.channels(), input_len, "input");
        assert_eq!(output.len(), spanned(output_len / channels, channels, finishing.gap), "output");
        assert!(packed.len() >= self.packed_len, "packed weights");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        finishing.expect(output_len / channels, channels);
        let run = Run { convolution: self, input, packed, finishing, channels, scratch, output, threads };
        let share = |thread, handed: Part<'_>| match self.factors {
            Factors::Floats => ctx.isa.dispatch(Share::<false> { run: &run, thread, handed }),
            Factors::Pairs => ctx.isa.dispatch_pairs(Share::<true> { run: &run, thread, handed }),
        };
        // Of several sweeps nothing is handed out.
        match self.sweeps.first().and_then(|sweep| sweep.items(g.attrs.groups)) {
            Some(items) => ctx.pool.hand_out(items, &share),
            None => ctx.pool.run(&|thread| share(thread, Part::Own(0..0))),
        }
    }
}

/// Taps that meet the input pixels of a phase in one dimension, ordered by place: input pixel `i` and tap `k` belong to
/// the output pixel `(i + padding - k * dilation) / stride` where that is whole; `i = phase + stride * grid index`.
pub(super) fn phase_taps(
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    phase: usize,
) -> Vec<Tap> {
    let place = |k: usize| {
        let distance = (phase + padding) as isize - (k * dilation) as isize;
        let stride = stride as isize;
        (distance % stride == 0).then(|| (k, distance / stride))
    };
    (0..kernel).rev().filter_map(place).collect()
}

/// What a [`Convolution`] is made of.
struct Layer<'a> {
    g: &'a ConvGeometry,
    operation: Operation,
    factors: Factors,
    isa: Isa,
    threads: usize,
}

impl Layer<'_> {
    /// `y = conv(x, weight)`.
    fn forward(&self) -> Sweep {
        let g = self.g;
        let a = &g.attrs;
        let offset = |i: usize, k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
        let taps = |i: usize| (0..a.kernel[i]).map(|k| (k, offset(i, k))).collect::<Vec<Tap>>();
        let channels = g.cin / self.factors.channels();
        let window = Window::new(g.n, [g.h, g.w], channels, g.out, a.stride, g.out, [0, 0], [1, 1]);
        self.sweep(window, &taps(0), &taps(1))
    }

    /// `dx` of `dy` and `weight`. The input pixels of each residue modulo the stride (a phase) meet the same taps, at
    /// consecutive output pixels: so each phase is a dense convolution of stride 1 over `dy`, with some of the taps.
    fn backward_data(&self) -> Vec<Sweep> {
        let g = self.g;
        let a = &g.attrs;
        let sizes = [g.h, g.w];
        let channels = g.cout / self.factors.channels();
        let mut sweeps = Vec::new();
        for row in 0..a.stride[0].min(g.h) {
            for col in 0..a.stride[1].min(g.w) {
                let phase = [row, col];
                let grid = [0, 1].map(|i| (sizes[i] - phase[i]).div_ceil(a.stride[i]));
                let window = Window::new(g.n, g.out, channels, grid, [1, 1], sizes, phase, a.stride);
                let taps =
                    |i: usize| phase_taps(a.kernel[i], a.stride[i], a.padding[i], a.dilation[i], phase[i]);
                sweeps.push(self.sweep(window, &taps(0), &taps(1)));
            }
        }
        sweeps
    }

    fn sweep(&self, window: Window, rows: &[Tap], cols: &[Tap]) -> Sweep {
        let Layer { g, operation, factors, isa, threads } = *self;
        let groups = g.attrs.groups;
        let (reads, writes) = match operation {
            Operation::Forward => (g.cin / groups, g.cout / groups),
            Operation::BackwardData => (g.cout / groups, g.cin / groups),
        };
        assert!(reads.is_multiple_of(factors.channels()), "channels in pairs");
        let reads = reads / factors.channels();
        let taps: Vec<_> = rows.iter().flat_map(|r| cols.iter().map(move |c| [r.0, c.0])).collect();
        let merge = groups == 1 && cols.len() * reads <= MERGE_FLOATS;
        let window = window.with_taps(rows, cols, merge);
        let panels = Panels { shape: Shape::new(isa, writes), channels: writes, depth: taps.len() * reads };
        let partition = Partition::new(&window, &panels, groups, threads);
        let slices = (panels.depth * panels.shape.width()).div_ceil(SLICE_FLOATS);
        let slice = window.segments().div_ceil(slices.max(1)).max(1);
        Sweep { window, panels, taps, packed: 0, partition, slice }
    }
}

impl Sweep {
    /// How many items are handed out, if any are.
    fn items(&self, groups: usize) -> Option<usize> {
        let Partition { cut, block } = self.partition;
        cut.handed_out(self.window.pixels().div_ceil(block), groups * self.panels.count())
    }

    /// Floats of row pointers and output indices of one block.
    fn pointers_len(&self) -> [usize; 2] {
        let floats = |count: usize| (count * size_of::<usize>() / size_of::<f32>()).next_multiple_of(16);
        [floats(self.partition.block * self.window.segments()), floats(self.partition.block)]
    }

    /// Floats of scratch memory of one thread.
    fn thread_len(&self) -> usize {
        let [rows, outs] = self.pointers_len();
        rows + outs + self.window.edge_len(self.partition.block).next_multiple_of(16)
    }
}
