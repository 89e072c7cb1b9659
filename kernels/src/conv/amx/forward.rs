//! The forward convolution, and the gradient of the input: one convolution over `dy` per phase of the stride.

use bytemuck::Pod;
use resnetc_compiler::plan::ConvGeometry;

use super::element::Element;
use super::epilogue::TileEpilogue;
use super::schedule::{SUMS, Schedule};
use super::split::Split;
use super::tiles::SIDE;
use super::weights::Weights;
use super::worker::Worker;
use crate::choice::Estimate;
use crate::conv::epilogue::Epilogue;
use crate::conv::kernel::ConvKernel;
use crate::conv::problem::Operation;
use crate::ctx::Ctx;
use crate::machine::Machine;
use crate::maps::{MapDst, MapSrc, spanned};
use crate::memory::{Dst, Src};
use crate::simd::Isa;
use crate::threads::{Part, chunk};

/// What the cost model takes one thread to do: cycles, estimated from `benches/NOTES.md`.
mod cost {
    /// A product of tiles, with what it waits for: 20 alone, and a quarter more for a unit that others use too.
    pub const PRODUCT: f64 = 25.0;
    /// The same in a column of tiles, of at most 16 channels written: more loads, and a shorter depth.
    pub const COLUMN_PRODUCT: f64 = 32.0;
    /// Converting an element to one term.
    pub const CONVERT: f64 = 0.12;
    /// Epilogue an element.
    pub const FINISH: f64 = 0.25;
    /// Bytes of packed weights a cycle from the last-level cache.
    pub const BYTES: f64 = 8.0;
}

/// A convolution with everything decided that sizes decide.
pub struct AmxConvolution {
    geometry: ConvGeometry,
    operation: Operation,
    split: Split,
    schedule: Schedule,
    /// How many of the threads share the bands; the others share the groups of channels.
    band_threads: usize,
}

impl AmxConvolution {
    /// The fastest way to share the work, and what it is expected to cost; `None` without AMX or with groups.
    pub(in crate::conv) fn offer(
        geometry: ConvGeometry,
        operation: Operation,
        split: Split,
        machine: Machine,
    ) -> Option<(Self, Estimate)> {
        if machine.isa != Isa::Amx || geometry.attrs.groups > 1 {
            return None;
        }
        let threads = machine.threads;
        let made = (1..=threads).filter(|by| threads.is_multiple_of(*by)).map(|by| {
            let convolution = Self::new(geometry, operation, split, by);
            let estimate = convolution.estimate(machine);
            (convolution, estimate)
        });
        made.min_by(|a, b| a.1.cycles().total_cmp(&b.1.cycles()))
    }

    fn new(geometry: ConvGeometry, operation: Operation, split: Split, band_threads: usize) -> Self {
        let schedule = Schedule::new(&geometry, operation, split, band_threads);
        AmxConvolution { geometry, operation, split, schedule, band_threads }
    }

    /// Expected cycles of the busiest of the threads.
    fn estimate(&self, machine: Machine) -> Estimate {
        let threads = machine.threads;
        let bands = self.schedule.map.bands().div_ceil(self.band_threads);
        let groups = self.schedule.groups().div_ceil(threads / self.band_threads);
        let band = self.schedule.map.largest();
        let columns = (groups * 2).min(self.schedule.writes.div_ceil(SIDE));
        let tiles = self.schedule.map.positions(band).div_ceil(SIDE).next_multiple_of(2) * columns;
        let blocks: usize = self.schedule.phases.iter().map(|phase| phase.taps.blocks()).sum();
        let product = if columns > 1 { cost::PRODUCT } else { cost::COLUMN_PRODUCT };
        let products = (tiles * blocks * self.split.products()) as f64
            * product
            * machine.amx_slowness(self.geometry.precision);
        let terms = self.split.count() as f64;
        let copied = (self.schedule.map.copy_rows(band)
            * self.schedule.map.cols.pitch
            * self.schedule.layout.pixel) as f64;
        let finished = (tiles * self.schedule.phases.len() * SIDE * SIDE) as f64 * cost::FINISH;
        let weights = self.schedule.packed_bytes as f64 / (threads / self.band_threads) as f64 / cost::BYTES;
        let bands = bands as f64;
        let parts = [
            ("products", bands * products),
            ("copies", bands * copied * terms * cost::CONVERT),
            ("results", bands * finished),
            ("weights", weights),
        ];
        Estimate { algorithm: self.split.algorithm(), parts: parts.to_vec() }
    }

    /// Floats of scratch memory of one thread: sums, and the copy of a band.
    fn thread_len(&self) -> usize {
        SUMS + (self.split.count() * self.schedule.layout.term * size_of::<u16>()).div_ceil(64) * 16
    }

    /// Runs each thread's share.
    ///
    /// # Safety
    /// AMX is there; views are as long as [`ConvKernel::run`] checks.
    unsafe fn run_threads<const TERMS: usize, I: Element + Pod + Sync, O: Element + Pod + Sync>(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, I>,
        residual: Option<Src<'_, O>>,
        output: Dst<'_, O>,
        (packed, epilogue, scratch): (Src<'_, f32>, &Epilogue<'_>, Dst<'_, f32>),
    ) {
        let threads = ctx.threads.count();
        let run = |thread: usize, bands: Part<'_>, groups: Part<'_>| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let epilogue = TileEpilogue { epilogue, residual, output, writes: self.schedule.writes };
            let worker = Worker { schedule: &self.schedule, input, packed, epilogue, own };
            // SAFETY: the caller's promise; threads write disjoint pixels or channels, and have their own parts of the
            // scratch memory.
            unsafe { worker.run::<TERMS>(bands, groups) };
        };
        let (bands, groups) = (self.schedule.map.bands(), self.schedule.groups());
        if self.band_threads == threads {
            ctx.threads.hand_out(bands, &|thread, bands| run(thread, bands, Part::Own(0..groups)));
        } else if self.band_threads == 1 && bands == 1 {
            ctx.threads.hand_out(groups, &|thread, groups| run(thread, Part::Own(0..1), groups));
        } else {
            let by_groups = threads / self.band_threads;
            ctx.threads.run(&|thread| {
                let bands = chunk(bands, 1, thread / by_groups, self.band_threads);
                run(thread, Part::Own(bands), Part::Own(chunk(groups, 1, thread % by_groups, by_groups)));
            });
        }
    }
}

impl ConvKernel for AmxConvolution {
    fn packed_len(&self) -> usize {
        self.schedule.packed_bytes / size_of::<f32>()
    }

    fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let g = &self.geometry;
        let kernel = g.attrs.kernel;
        assert_eq!(weight.len(), kernel[0] * kernel[1] * g.cin * g.cout, "weight");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        let threads = ctx.threads.count();
        let weights = weight;
        ctx.threads.run(&|thread| {
            let weights = Weights {
                first: weights.ptr(),
                cols: kernel[1],
                cin: g.cin,
                cout: g.cout,
                operation: self.operation,
            };
            for phase in &self.schedule.phases {
                let blocks = phase.taps.blocks();
                for item in chunk(self.schedule.groups() * blocks, 1, thread, threads) {
                    let (group, block) = (item / blocks, item % blocks);
                    let packed = packed.ptr().cast();
                    // SAFETY: AMX is there, or this would not have been made; lengths are checked above; items write
                    // disjoint tiles.
                    unsafe {
                        match self.split {
                            Split::Bf16x1 => weights.pack::<1>(&phase.taps, group, block, packed),
                            Split::Bf16x3 => weights.pack::<3>(&phase.taps, group, block, packed),
                        }
                    }
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
        let map = &self.schedule.map;
        assert_eq!(input.len(), map.images * map.rows.size * map.cols.size * map.channels, "input");
        let pixels = map.images * self.schedule.out[0] * self.schedule.out[1];
        assert_eq!(output.len(), spanned(pixels, self.schedule.writes, epilogue.gap), "output");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        assert!(scratch.len() >= self.scratch_len(ctx.threads.count()), "scratch");
        epilogue.expect(pixels, self.schedule.writes);
        let residual = epilogue.residual;
        let wide = || residual.map(MapSrc::f32);
        let narrow = || residual.map(MapSrc::bf16);
        let parts = (packed, epilogue, scratch);
        // SAFETY: AMX is there, or this would not have been made; lengths are checked above.
        unsafe {
            match (self.split, input, output) {
                (Split::Bf16x3, input, output) => {
                    self.run_threads::<3, _, _>(ctx, input.f32(), wide(), output.f32(), parts);
                }
                (Split::Bf16x1, MapSrc::F32(input), MapDst::F32(output)) => {
                    self.run_threads::<1, _, _>(ctx, input, wide(), output, parts);
                }
                (Split::Bf16x1, MapSrc::F32(input), MapDst::Bf16(output)) => {
                    self.run_threads::<1, _, _>(ctx, input, narrow(), output, parts);
                }
                (Split::Bf16x1, MapSrc::Bf16(input), MapDst::F32(output)) => {
                    self.run_threads::<1, _, _>(ctx, input, wide(), output, parts);
                }
                (Split::Bf16x1, MapSrc::Bf16(input), MapDst::Bf16(output)) => {
                    self.run_threads::<1, _, _>(ctx, input, narrow(), output, parts);
                }
            }
        }
    }
}
