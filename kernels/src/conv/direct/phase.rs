//! What a direct convolution is made of: dense grids of output pixels, each with its taps, weights and partition.

use resnetc_compiler::plan::ConvGeometry;

use super::partition::Partition;
use crate::conv::problem::Operation;
use crate::conv::tile::panels::Panels;
use crate::conv::tile::shape::Shape;
use crate::conv::window::{MERGE_FLOATS, Tap, Window, phase_taps};
use crate::simd::Isa;

/// Floats of a panel that are multiplied at a time with all pixels of a block, if it has several taps: those of larger panels
/// would not stay in a second-level cache from tile to tile.
const SLICE_FLOATS: usize = 128 << 10;

/// One dense grid of output pixels with its packed weights.
pub(super) struct Phase {
    pub window: Window,
    pub panels: Panels,
    /// Kernel taps in the order of the packed weights, `[row, column]`.
    pub taps: Vec<[usize; 2]>,
    /// First float of its packed weights.
    pub packed: usize,
    pub partition: Partition,
    /// Runs of a panel that are multiplied at a time with all pixels of a block.
    pub slice: usize,
}

/// What a convolution multiplies. Either has the size of a float, and what counts floats of weights and of the map that is read
/// counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Single precision.
    Floats,
    /// Two channels of a pixel, or their weights, in bf16: where there is an instruction that adds up both products.
    Bf16Pairs,
}

impl Factors {
    /// Channels in each.
    pub(super) fn channels(self) -> usize {
        match self {
            Factors::Floats => 1,
            Factors::Bf16Pairs => 2,
        }
    }
}

/// What a convolution is made of.
pub(super) struct Layer<'a> {
    pub g: &'a ConvGeometry,
    pub operation: Operation,
    pub factors: Factors,
    pub isa: Isa,
    pub threads: usize,
}

impl Layer<'_> {
    /// `y = conv(x, weight)`.
    pub fn forward(&self) -> Phase {
        let g = self.g;
        let a = &g.attrs;
        let offset = |i: usize, k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
        let taps = |i: usize| (0..a.kernel[i]).map(|k| (k, offset(i, k))).collect::<Vec<Tap>>();
        let channels = g.cin / self.factors.channels();
        let window = Window::new(g.n, [g.h, g.w], channels, g.out, a.stride, g.out, [0, 0], [1, 1]);
        self.phase(window, &taps(0), &taps(1))
    }

    /// `dx` of `dy` and `weight`. The input pixels of each residue modulo the stride (a phase) meet the same taps, at
    /// consecutive output pixels: so each phase is a dense convolution of stride 1 over `dy`, with some of the taps.
    pub fn backward_data(&self) -> Vec<Phase> {
        let g = self.g;
        let a = &g.attrs;
        let sizes = [g.h, g.w];
        let channels = g.cout / self.factors.channels();
        let mut phases = Vec::new();
        for row in 0..a.stride[0].min(g.h) {
            for col in 0..a.stride[1].min(g.w) {
                let phase = [row, col];
                let grid = [0, 1].map(|i| (sizes[i] - phase[i]).div_ceil(a.stride[i]));
                let window = Window::new(g.n, g.out, channels, grid, [1, 1], sizes, phase, a.stride);
                let taps =
                    |i: usize| phase_taps(a.kernel[i], a.stride[i], a.padding[i], a.dilation[i], phase[i]);
                phases.push(self.phase(window, &taps(0), &taps(1)));
            }
        }
        phases
    }

    fn phase(&self, window: Window, rows: &[Tap], cols: &[Tap]) -> Phase {
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
        Phase { window, panels, taps, packed: 0, partition, slice }
    }
}

impl Phase {
    /// How many items are handed out, if any are.
    pub fn items(&self, groups: usize) -> Option<usize> {
        let Partition { cut, block } = self.partition;
        cut.handed_out(self.window.pixels().div_ceil(block), groups * self.panels.count())
    }

    /// Floats of row pointers and output indices of one block.
    pub fn pointers_len(&self) -> [usize; 2] {
        let floats = |count: usize| (count * size_of::<usize>() / size_of::<f32>()).next_multiple_of(16);
        [floats(self.partition.block * self.window.segments()), floats(self.partition.block)]
    }

    /// Floats of scratch memory of one thread.
    pub fn thread_len(&self) -> usize {
        let [rows, outs] = self.pointers_len();
        rows + outs + self.window.edge_len(self.partition.block).next_multiple_of(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::direct::partition::Cut;
    use crate::conv::tests::{geometry, square};

    /// What costs a layer of ResNet-50 on two threads: where maps are large, or as large as weights, threads have their own
    /// pixels; where weights are larger, their own weights.
    #[test]
    fn layers_are_cut_by_what_is_larger() {
        let cut = |size: usize, [reads, writes]: [usize; 2], attrs, threads| {
            let g = geometry(1, [size; 2], [reads, writes], attrs).unwrap();
            let (operation, factors, isa) = (Operation::Forward, Factors::Floats, Isa::Avx512);
            Layer { g: &g, operation, factors, isa, threads }.forward().partition.cut
        };
        let unit = |stride| square(1, stride, 0, 1);
        assert_eq!(cut(28, [512, 128], unit(1), 2), Cut::Blocks);
        assert!(matches!(cut(14, [1024, 256], unit(1), 2), Cut::Parts(_)));
        assert!(matches!(cut(28, [256, 256], square(3, 2, 1, 1), 2), Cut::Parts(_)));
        assert!(matches!(cut(7, [2048, 512], unit(1), 2), Cut::Columns(_)));
        assert!(matches!(cut(14, [1024, 2048], unit(2), 2), Cut::Columns(_)));
        // A linear layer has one pixel.
        assert!(matches!(cut(1, [2048, 1000], unit(1), 4), Cut::Columns(1)));
        // Alone, a thread has both.
        assert_eq!(cut(14, [1024, 256], unit(1), 1), Cut::Parts(1));

        // Of the phases of a stride's phases nothing is handed out.
        let strided = geometry(1, [28; 2], [256, 256], square(3, 2, 1, 1)).unwrap();
        let (operation, factors, isa) = (Operation::BackwardData, Factors::Floats, Isa::Avx512);
        let phases = Layer { g: &strided, operation, factors, isa, threads: 2 }.backward_data();
        assert_eq!(phases.len(), 4);
        assert!(phases.iter().all(|phase| matches!(phase.partition.cut, Cut::Fixed(_))));
    }
}
