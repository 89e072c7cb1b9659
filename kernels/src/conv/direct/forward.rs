//! Runs convolutions: the forward one, and the backward-data one, which is a forward one over `dy` per phase of the stride.

use resnetc_compiler::plan::ConvGeometry;

use super::phase::{Factors, Layer, Phase};
use super::worker::{Run, Worker};
use crate::conv::bf16::Wide;
use crate::conv::epilogue::Epilogue;
use crate::conv::kernel::ConvKernel;
use crate::conv::problem::Operation;
use crate::conv::tile::panels::{copy_rows, pair_columns, pair_rows, transpose};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::maps::{MapDst, MapSrc, spanned};
use crate::memory::{Dst, Memory, Src};
use crate::simd::Isa;
use crate::threads::{Part, chunk};

/// A convolution with everything decided that sizes decide.
pub struct DirectConvolution {
    geometry: ConvGeometry,
    factors: Factors,
    operation: Operation,
    phases: Vec<Phase>,
    packed_len: usize,
    /// Floats of row pointers, output indices and border copies of one thread.
    thread_len: usize,
    zeros: Memory,
}

impl DirectConvolution {
    /// `y` of `x`, or `dx` of `dy`, by multiplying floats, or pairs, into which the channels read of each group are divided.
    pub(in crate::conv) fn new(
        geometry: ConvGeometry,
        operation: Operation,
        factors: Factors,
        isa: Isa,
        threads: usize,
    ) -> Result<Self> {
        let layer = Layer { g: &geometry, operation, factors, isa, threads };
        let mut phases = match operation {
            Operation::Forward => vec![layer.forward()],
            Operation::BackwardData => layer.backward_data(),
        };
        let mut packed_len = 0;
        for phase in &mut phases {
            phase.packed = packed_len;
            packed_len += phase.panels.group_len() * geometry.attrs.groups;
        }
        let thread_len = phases.iter().map(Phase::thread_len).max().unwrap_or(0);
        let zeros = Memory::floats(phases.iter().map(|s| s.window.zeros_len()).max().unwrap_or(0))?;
        debug_assert!(threads > 0);
        Ok(DirectConvolution { geometry, factors, operation, phases, packed_len, thread_len, zeros })
    }

    /// Packs tap `tap` (in packed order) of one panel.
    unsafe fn pack_tap(
        &self,
        phase: &Phase,
        group: usize,
        panel: usize,
        tap: usize,
        weight: Src<'_, f32>,
        packed: Dst<'_, f32>,
    ) {
        let g = &self.geometry;
        let (cin, cout) = (g.cin / g.attrs.groups, g.cout / g.attrs.groups);
        let (width, vectors) = phase.panels.size(panel);
        let padded = vectors * phase.panels.shape.lanes;
        let first = panel * phase.panels.shape.width();
        let [row, col] = phase.taps[tap];
        let from = (row * g.attrs.kernel[1] + col) * cin * g.cout + group * cout;
        let to = phase.packed + phase.panels.offset(group, panel);
        let reads = phase.panels.depth / phase.taps.len();
        // SAFETY: inside of the weights and the packed weights, whose lengths the caller checked.
        unsafe {
            let (from, to) = (weight.ptr().add(from), packed.ptr().add(to + tap * reads * padded));
            match (self.operation, self.factors) {
                (Operation::Forward, Factors::Floats) => {
                    copy_rows(from.add(first), g.cout, reads, width, padded, to);
                }
                (Operation::Forward, Factors::Bf16Pairs) => {
                    pair_rows(from.add(first), g.cout, reads, width, padded, to);
                }
                (Operation::BackwardData, Factors::Floats) => {
                    transpose(from.add(first * g.cout), g.cout, reads, width, padded, to);
                }
                (Operation::BackwardData, Factors::Bf16Pairs) => {
                    pair_columns(from.add(first * g.cout), g.cout, reads, width, padded, to);
                }
            }
        }
    }

    /// Computes the result of the factors that are read: those of `x` forward, of `dy` backward. A residual is stored as the
    /// output is.
    pub(super) fn run_factors(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, f32>,
        packed: Src<'_, f32>,
        epilogue: &Epilogue<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let g = &self.geometry;
        let [input_len, output_len] = self.operation.maps(g);
        let channels = if self.operation == Operation::Forward { g.cout } else { g.cin };
        let threads = ctx.threads.count();
        assert_eq!(input.len() * self.factors.channels(), input_len, "input");
        assert_eq!(output.len(), spanned(output_len / channels, channels, epilogue.gap), "output");
        assert!(packed.len() >= self.packed_len, "packed weights");
        assert!(scratch.len() >= self.thread_len * threads, "scratch");
        epilogue.expect(output_len / channels, channels);
        let run = Run {
            phases: &self.phases,
            groups: g.attrs.groups,
            zeros: self.zeros.floats_view(),
            thread_len: self.thread_len,
            input,
            packed,
            epilogue,
            channels,
            scratch,
            output,
            threads,
        };
        let work = |thread, handed: Part<'_>| match self.factors {
            Factors::Floats => ctx.isa.dispatch(Worker::<false> { run: &run, thread, handed }),
            Factors::Bf16Pairs => ctx.isa.dispatch_bf16_dot(Worker::<true> { run: &run, thread, handed }),
        };
        // Of several phases nothing is handed out.
        match self.phases.first().and_then(|phase| phase.items(g.attrs.groups)) {
            Some(items) => ctx.threads.hand_out(items, &work),
            None => ctx.threads.run(&|thread| work(thread, Part::Own(0..0))),
        }
    }
}

impl ConvKernel for DirectConvolution {
    fn packed_len(&self) -> usize {
        self.packed_len
    }

    fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len * threads
    }

    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let a = &self.geometry.attrs;
        let taps = a.kernel[0] * a.kernel[1];
        assert_eq!(weight.len(), taps * self.geometry.cin / a.groups * self.geometry.cout, "weight");
        assert!(packed.len() >= self.packed_len, "packed weights");
        let threads = ctx.threads.count();
        ctx.threads.run(&|thread| {
            for phase in &self.phases {
                let panels = phase.panels.count();
                // An item is one tap of one panel of one group.
                let items = a.groups * panels * phase.taps.len();
                for item in chunk(items, 1, thread, threads) {
                    let (rest, tap) = (item / phase.taps.len(), item % phase.taps.len());
                    // SAFETY: items write disjoint parts of the packed weights, whose length is checked.
                    unsafe { self.pack_tap(phase, rest / panels, rest % panels, tap, weight, packed) };
                }
            }
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
        self.run_factors(ctx, input.f32(), packed, epilogue, scratch, output);
    }
}

/// Packed weights are the weights in another order, and results are stored as they are asked for.
impl Wide for DirectConvolution {
    const PACKS_SUMS: bool = false;
    const STORES_BF16: bool = true;
}
