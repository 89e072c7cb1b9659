//! The forward convolution, and the gradient of the input: one convolution over `dy` per phase of the stride.

mod finish;
mod share;

use bytemuck::Pod;
use resnetc_compiler::plan::ConvGeometry;

use self::finish::Finish;
use self::share::Share;
use super::Planes;
use super::element::Element;
use super::machine::{DEPTH, SIDE, TILE_BYTES};
use super::map::{Axis, Map};
use super::weights::{GROUP, Layout, Taps, Weights};
use crate::cpu::Ctx;
use crate::cpu::conv::Operation;
use crate::cpu::conv::sweep::{Finishing, phase_taps};
use crate::cpu::conv::window::Tap;
use crate::cpu::isa::{Isa, Machine};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pool::{Part, share};
use crate::cpu::stored::{MapDst, MapSrc};
use crate::cpu::stream::spanned;
use crate::device::Estimate;

/// Bytes of a band's copy, least and most: as many as the weights, so that what is read again for each band stays in the
/// second-level cache, and no more than do so beside a group of weights.
const BAND_BYTES: [usize; 2] = [192 << 10, 768 << 10];

/// Sums that are held in registers, 2 x 2 or 4 x 1 tiles.
const SQUARE: usize = 4 * SIDE * SIDE;

/// Sums in memory: those that are being finished, and those that come next.
const SUMS: usize = 2 * SQUARE;

/// What the cost model takes one thread to do: cycles, estimated from `benches/NOTES.md`.
mod cost {
    /// A product of tiles, with what it waits for: 20 alone, and a quarter more for a unit that others use too.
    pub const PRODUCT: f64 = 25.0;
    /// The same in a column of tiles, of at most 16 channels written: more loads, and a shorter depth.
    pub const COLUMN_PRODUCT: f64 = 32.0;
    /// Converting an element to one plane.
    pub const CONVERT: f64 = 0.12;
    /// Finishing an element.
    pub const FINISH: f64 = 0.25;
    /// Bytes of packed weights a cycle from the last-level cache.
    pub const BYTES: f64 = 8.0;
}

/// One dense grid of output pixels.
struct Phase {
    taps: Taps,
    /// Output rows of an image.
    rows: usize,
    /// For each position of the largest band, its pixel relative to the band's first.
    pixels: Vec<i32>,
}

/// A convolution with everything decided that sizes decide.
pub struct MatrixConvolution {
    geometry: ConvGeometry,
    operation: Operation,
    planes: Planes,
    map: Map,
    layout: Layout,
    phases: Vec<Phase>,
    /// Channels written.
    writes: usize,
    /// Rows and columns of the map that is written.
    out: [usize; 2],
    /// Rows of it between output rows of a phase.
    row_step: usize,
    /// How many of the threads share the bands; the others share the groups of channels.
    band_threads: usize,
    packed_bytes: usize,
    /// Whether outputs are products of single input pixels, in the same order: then a map in bf16 need not be copied.
    straight: bool,
}

impl MatrixConvolution {
    /// The fastest way to share the work, and what it is expected to cost; `None` without a unit or with groups.
    pub(in crate::cpu::conv) fn offer(
        geometry: ConvGeometry,
        operation: Operation,
        planes: Planes,
        machine: Machine,
    ) -> Option<(Self, Estimate)> {
        if machine.isa != Isa::Amx || geometry.attrs.groups > 1 {
            return None;
        }
        let threads = machine.threads;
        let made = (1..=threads).filter(|by| threads.is_multiple_of(*by)).map(|by| {
            let convolution = Self::new(geometry, operation, planes, by);
            let estimate = convolution.estimate(machine);
            (convolution, estimate)
        });
        made.min_by(|a, b| a.1.cycles().total_cmp(&b.1.cycles()))
    }

    fn new(geometry: ConvGeometry, operation: Operation, planes: Planes, band_threads: usize) -> Self {
        let g = &geometry;
        let a = &g.attrs;
        let map_size = [g.h, g.w];
        let [rows, cols] = [0, 1].map(|i| match operation {
            Operation::Forward => {
                let place = |k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
                let taps: Vec<Tap> = (0..a.kernel[i]).map(|k| (k, place(k))).collect();
                Axis::new(map_size[i], g.out[i], a.stride[i], &[taps])
            }
            Operation::BackwardData => {
                let count = a.stride[i].min(map_size[i]);
                let taps = |phase| phase_taps(a.kernel[i], a.stride[i], a.padding[i], a.dilation[i], phase);
                let phases: Vec<_> = (0..count).map(taps).collect();
                Axis::new(g.out[i], map_size[i].div_ceil(a.stride[i]), 1, &phases)
            }
        });
        let (reads, writes, out, step) = match operation {
            Operation::Forward => (g.cin, g.cout, g.out, [1, 1]),
            Operation::BackwardData => (g.cout, g.cin, map_size, a.stride),
        };
        // The rows of a tile, a multiple of 512 bytes apart, would share eight sets of the first-level cache or less.
        let pixel = if reads.is_multiple_of(256) { reads + DEPTH } else { reads };
        let weights = a.kernel[0] * a.kernel[1] * reads * writes * size_of::<u16>() * planes.count();
        let bytes = weights.clamp(BAND_BYTES[0], BAND_BYTES[1]);
        let budget = bytes / size_of::<u16>() / planes.count() / pixel;
        let map = Map::new(g.n, rows, cols, reads, budget, band_threads);
        let rows = map.copy_rows(map.largest()) / map.rows.step;
        let copy = rows * map.rows.step * map.cols.pitch * pixel;
        // Behind the copy: the zeros of its last row, a block, and what tiles cover beyond the last position.
        let slack = map.cols.pitch * pixel + DEPTH + 4 * SIDE * map.cols.step * pixel;
        let layout = Layout { pixel, rows, plane: (copy + slack).next_multiple_of(DEPTH) };
        let mut packed_bytes = 0;
        let mut phases = Vec::new();
        for row in 0..map.rows.phases.len() {
            for col in 0..map.cols.phases.len() {
                let taps = Taps::new(&map, &layout, [row, col], packed_bytes);
                packed_bytes += taps.bytes(writes, planes.count());
                let grid = [0, 1].map(|i| (out[i] - [row, col][i]).div_ceil(step[i]));
                phases.push(Phase { taps, rows: grid[0], pixels: map.outputs(grid, out, [row, col], step) });
            }
        }
        let row_step = step[0];
        let straight =
            a.kernel == [1, 1] && a.stride == [1, 1] && a.padding == [0, 0] && reads.is_multiple_of(DEPTH);
        MatrixConvolution {
            geometry,
            operation,
            planes,
            map,
            layout,
            phases,
            writes,
            out,
            row_step,
            band_threads,
            packed_bytes,
            straight,
        }
    }

    /// Expected cycles of the busiest of the threads.
    fn estimate(&self, machine: Machine) -> Estimate {
        let threads = machine.threads;
        let bands = self.map.bands().div_ceil(self.band_threads);
        let groups = self.groups().div_ceil(threads / self.band_threads);
        let band = self.map.largest();
        let columns = (groups * 2).min(self.writes.div_ceil(SIDE));
        let tiles = self.map.positions(band).div_ceil(SIDE).next_multiple_of(2) * columns;
        let blocks: usize = self.phases.iter().map(|phase| phase.taps.blocks()).sum();
        let product = if columns > 1 { cost::PRODUCT } else { cost::COLUMN_PRODUCT };
        let products = (tiles * blocks * self.planes.products()) as f64
            * product
            * machine.unit_slowness(self.geometry.precision);
        let planes = self.planes.count() as f64;
        let copied = (self.map.copy_rows(band) * self.map.cols.pitch * self.layout.pixel) as f64;
        let finished = (tiles * self.phases.len() * SIDE * SIDE) as f64 * cost::FINISH;
        let weights = self.packed_bytes as f64 / (threads / self.band_threads) as f64 / cost::BYTES;
        let bands = bands as f64;
        let parts = [
            ("products", bands * products),
            ("copies", bands * copied * planes * cost::CONVERT),
            ("results", bands * finished),
            ("weights", weights),
        ];
        Estimate { algorithm: self.name(), parts: parts.to_vec() }
    }

    /// Groups of channels written.
    fn groups(&self) -> usize {
        self.writes.div_ceil(GROUP)
    }

    /// What the algorithm is called.
    pub fn name(&self) -> &'static str {
        match self.planes {
            Planes::One => "amx-bf16",
            Planes::Three => "amx-f32",
        }
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packed_bytes / size_of::<f32>()
    }

    /// Floats of scratch memory of one thread: sums, and the copy of a band.
    fn thread_len(&self) -> usize {
        SUMS + (self.planes.count() * self.layout.plane * size_of::<u16>()).div_ceil(64) * 16
    }

    /// Floats of scratch memory that [`MatrixConvolution::run`] needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.thread_len() * threads
    }

    /// Packs HWIO weights.
    pub fn pack(&self, ctx: &Ctx<'_>, weight: Src<'_, f32>, packed: Dst<'_, f32>) {
        let g = &self.geometry;
        let kernel = g.attrs.kernel;
        assert_eq!(weight.len(), kernel[0] * kernel[1] * g.cin * g.cout, "weight");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        let threads = ctx.pool.threads();
        let weights = weight;
        ctx.pool.run(&|thread| {
            let weights = Weights {
                first: weights.ptr(),
                cols: kernel[1],
                cin: g.cin,
                cout: g.cout,
                operation: self.operation,
            };
            for phase in &self.phases {
                let blocks = phase.taps.blocks();
                for item in share(self.groups() * blocks, 1, thread, threads) {
                    let (group, block) = (item / blocks, item % blocks);
                    let packed = packed.ptr().cast();
                    // SAFETY: the unit is there, or this would not have been made; lengths are checked above; items write
                    // disjoint tiles.
                    unsafe {
                        match self.planes {
                            Planes::One => weights.pack::<1>(&phase.taps, group, block, packed),
                            Planes::Three => weights.pack::<3>(&phase.taps, group, block, packed),
                        }
                    }
                }
            }
        });
    }

    /// Computes the result: of `x` forward, of `dy` backward. Only in one plane are maps stored as bf16.
    pub fn run(
        &self,
        ctx: &Ctx<'_>,
        input: MapSrc<'_>,
        packed: Src<'_, f32>,
        finishing: &Finishing<'_>,
        scratch: Dst<'_, f32>,
        output: MapDst<'_>,
    ) {
        let map = &self.map;
        assert_eq!(input.len(), map.images * map.rows.size * map.cols.size * map.channels, "input");
        let pixels = map.images * self.out[0] * self.out[1];
        assert_eq!(output.len(), spanned(pixels, self.writes, finishing.gap), "output");
        assert!(packed.len() >= self.packed_len(), "packed weights");
        assert!(scratch.len() >= self.scratch_len(ctx.pool.threads()), "scratch");
        finishing.expect(pixels, self.writes);
        let residual = finishing.residual;
        let wide = || residual.map(MapSrc::f32);
        let narrow = || residual.map(MapSrc::bf16);
        let parts = (packed, finishing, scratch);
        // SAFETY: the unit is there, or this would not have been made; lengths are checked above.
        unsafe {
            match (self.planes, input, output) {
                (Planes::Three, input, output) => {
                    self.share_out::<3, _, _>(ctx, input.f32(), wide(), output.f32(), parts);
                }
                (Planes::One, MapSrc::F32(input), MapDst::F32(output)) => {
                    self.share_out::<1, _, _>(ctx, input, wide(), output, parts);
                }
                (Planes::One, MapSrc::F32(input), MapDst::Bf16(output)) => {
                    self.share_out::<1, _, _>(ctx, input, narrow(), output, parts);
                }
                (Planes::One, MapSrc::Bf16(input), MapDst::F32(output)) => {
                    self.share_out::<1, _, _>(ctx, input, wide(), output, parts);
                }
                (Planes::One, MapSrc::Bf16(input), MapDst::Bf16(output)) => {
                    self.share_out::<1, _, _>(ctx, input, narrow(), output, parts);
                }
            }
        }
    }

    /// Runs each thread's share.
    ///
    /// # Safety
    /// The unit is there; views are as long as [`MatrixConvolution::run`] checks.
    unsafe fn share_out<const PLANES: usize, I: Element + Pod + Sync, O: Element + Pod + Sync>(
        &self,
        ctx: &Ctx<'_>,
        input: Src<'_, I>,
        residual: Option<Src<'_, O>>,
        output: Dst<'_, O>,
        (packed, finishing, scratch): (Src<'_, f32>, &Finishing<'_>, Dst<'_, f32>),
    ) {
        let threads = ctx.pool.threads();
        let run = |thread: usize, bands: Part<'_>, groups: Part<'_>| {
            let own = scratch.ptr().wrapping_add(thread * self.thread_len());
            let finish = Finish { finishing, residual, output, writes: self.writes };
            let share = Share { convolution: self, input, packed, finish, own };
            // SAFETY: the caller's promise; threads write disjoint pixels or channels, and have their own parts of the
            // scratch memory.
            unsafe { share.run::<PLANES>(bands, groups) };
        };
        let (bands, groups) = (self.map.bands(), self.groups());
        if self.band_threads == threads {
            ctx.pool.hand_out(bands, &|thread, bands| run(thread, bands, Part::Own(0..groups)));
        } else if self.band_threads == 1 && bands == 1 {
            ctx.pool.hand_out(groups, &|thread, groups| run(thread, Part::Own(0..1), groups));
        } else {
            let by_groups = threads / self.band_threads;
            ctx.pool.run(&|thread| {
                let bands = share(bands, 1, thread / by_groups, self.band_threads);
                run(thread, Part::Own(bands), Part::Own(share(groups, 1, thread % by_groups, by_groups)));
            });
        }
    }
}

// The tiles of weights that a group's product reads are whole.
const _: () = assert!(TILE_BYTES == SIDE * DEPTH * size_of::<u16>());
