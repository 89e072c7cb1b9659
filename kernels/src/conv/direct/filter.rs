//! Gradient of a convolution's weights: `dw[tap][cin][cout] = sum over pixels of x[pixel + tap][cin] * dy[pixel][cout]`.

use std::ops::Range;

use resnetc_compiler::plan::ConvGeometry;

use super::filter_pack::{input_step, pack_gradient, pack_input, packed_gradient_len};
use crate::conv::bf16::WideFilter;
use crate::conv::kernel::FilterKernel;
use crate::conv::tile::correlate::{FilterTile, correlate};
use crate::conv::tile::panels::Panels;
use crate::conv::tile::shape::Shape;
use crate::conv::tile::sums::add_up;
use crate::conv::window::{MERGE_FLOATS, Tap, Window};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::maps::MapSrc;
use crate::memory::{Dst, Memory, Src};
use crate::simd::{Isa, Simd, Vector, Work};
use crate::threads::chunk_either;

/// Bytes of feature maps whose gradients are worked on at a time: a filter gradient reads and writes all of a thread's sums once per block: the larger the better.
const FILTER_BLOCK_BYTES: usize = 768 << 10;

/// Pixels whose operands are packed at a time: at most, and at least where there are as many.
const MAX_BLOCK: usize = 128;
const MIN_BLOCK: usize = 64;

/// Weights up to this many floats get a partial sum per thread; the threads then share the pixels.
const MAX_PARTIAL: usize = 128 << 10;

/// A filter gradient with everything decided that sizes decide.
///
/// The work is pixels times items, an item being one run of taps of one panel of output channels. With few weights the
/// threads share the pixels, each summing into weights of its own, which are added up at the end in the order of the
/// threads; with many they share the items.
pub struct DirectFilter {
    geometry: ConvGeometry,
    window: Window,
    panels: Panels,
    /// Pixels whose operands are packed at a time.
    block: usize,
    by_pixels: bool,
    zeros: Memory,
}

impl DirectFilter {
    /// `dw` of `x` and `dy`.
    pub fn new(geometry: ConvGeometry, isa: Isa, threads: usize) -> Result<Self> {
        let g = &geometry;
        let a = &g.attrs;
        let (cin, cout) = (g.cin / a.groups, g.cout / a.groups);
        let offset = |i: usize, k: usize| (k * a.dilation[i]) as isize - a.padding[i] as isize;
        let taps = |i: usize| (0..a.kernel[i]).map(|k| (k, offset(i, k))).collect::<Vec<Tap>>();
        let merge = a.groups == 1 && a.kernel[1] * cin <= MERGE_FLOATS;
        let window = Window::new(g.n, [g.h, g.w], g.cin, g.out, a.stride, g.out, [0, 0], [1, 1]);
        let window = window.with_taps(&taps(0), &taps(1), merge);
        let depth = a.kernel[0] * a.kernel[1] * cin;
        let panels = Panels { shape: Shape::new(isa, cout), channels: cout, depth };
        let floats = input_step(depth / window.segments()) + packed_gradient_len(panels, 1);
        let fitting = FILTER_BLOCK_BYTES / size_of::<f32>() / floats;
        let block = fitting.clamp(MIN_BLOCK, MAX_BLOCK).min(window.pixels());
        let items = a.groups * panels.count() * window.segments();
        let uneven = items.div_ceil(threads) * threads * 8 > items * 9;
        let by_pixels = threads > 1 && (depth * g.cout <= MAX_PARTIAL || uneven);
        let zeros = Memory::floats(window.zeros_len())?;
        Ok(DirectFilter { geometry, window, panels, block, by_pixels, zeros })
    }

    /// Floats of the weights.
    fn weights(&self) -> usize {
        self.panels.depth * self.geometry.cout
    }

    /// Floats of one run of a group.
    fn run_len(&self) -> usize {
        self.panels.depth / self.window.segments()
    }

    /// Floats of one thread: row pointers, border copies, and packed operands, of `x` one run of a group, of `dy` a group.
    fn thread_parts(&self) -> [usize; 4] {
        let pointers = self.block * self.window.segments() * size_of::<usize>() / size_of::<f32>();
        let run = self.run_len();
        let (x, dy) = (self.block * input_step(run), packed_gradient_len(self.panels, self.block));
        [pointers, self.window.edge_len(self.block), x, dy].map(|len| len.next_multiple_of(16))
    }

    /// All of them.
    fn thread_len(&self) -> usize {
        self.thread_parts().iter().sum()
    }

    /// Floats of the partial sums of one thread.
    fn partial_len(&self) -> usize {
        if self.by_pixels { self.weights().next_multiple_of(16) } else { 0 }
    }

    /// Partial sums of a thread.
    fn partial(&self, scratch: Dst<'_, f32>, thread: usize) -> *mut f32 {
        scratch.ptr().wrapping_add(thread * (self.thread_len() + self.partial_len()))
    }
}

impl FilterKernel for DirectFilter {
    fn scratch_len(&self, threads: usize) -> usize {
        (self.thread_len() + self.partial_len()) * threads
    }

    fn run(&self, ctx: &Ctx<'_>, x: MapSrc<'_>, dy: MapSrc<'_>, scratch: Dst<'_, f32>, dw: Dst<'_, f32>) {
        let (x, dy) = (x.f32(), dy.f32());
        let g = &self.geometry;
        let threads = ctx.threads.count();
        assert_eq!(x.len(), g.n * g.h * g.w * g.cin, "x");
        assert_eq!(dy.len(), self.window.pixels() * g.cout, "dy");
        assert_eq!(dw.len(), self.weights(), "dw");
        assert!(scratch.len() >= self.scratch_len(threads), "scratch");
        ctx.threads.run(&|thread| {
            ctx.isa.dispatch(Worker { gradient: self, x, dy, scratch, dw, thread, threads });
        });
        if self.by_pixels {
            add_up(ctx, scratch, self.thread_len() + self.partial_len(), dw);
        }
    }
}

impl WideFilter for DirectFilter {}

/// One thread's share of the products.
struct Worker<'a> {
    gradient: &'a DirectFilter,
    x: Src<'a, f32>,
    dy: Src<'a, f32>,
    scratch: Dst<'a, f32>,
    dw: Dst<'a, f32>,
    thread: usize,
    threads: usize,
}

impl Work for Worker<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let gradient = self.gradient;
        let window = &gradient.window;
        let items = gradient.geometry.attrs.groups * gradient.panels.count() * window.segments();
        let own = gradient.partial(self.scratch, self.thread);
        let work = [window.pixels(), items];
        let [pixels, items] = chunk_either(gradient.by_pixels, work, self.thread, self.threads);
        let dw = if gradient.by_pixels { own } else { self.dw.ptr() };
        if pixels.is_empty() && gradient.by_pixels {
            // SAFETY: this thread's own part of the scratch memory.
            unsafe { dw.write_bytes(0, gradient.weights()) };
        }
        let scratch = own.wrapping_add(gradient.partial_len());
        for start in pixels.clone().step_by(gradient.block) {
            let range = start..pixels.end.min(start + gradient.block);
            // SAFETY: `DirectFilter::run` has checked the lengths; threads have their own scratch memory, and write
            // either there or to items of their own.
            unsafe { self.block::<V>(simd, range, items.clone(), scratch, dw, start > pixels.start) };
        }
    }
}

impl Worker<'_> {
    /// Adds the products of a block of pixels to the weights of this thread's items.
    #[inline(always)]
    unsafe fn block<V: Vector>(
        &self,
        simd: Simd<V>,
        pixels: Range<usize>,
        items: Range<usize>,
        scratch: *mut f32,
        dw: *mut f32,
        accumulate: bool,
    ) {
        let DirectFilter { geometry, window, panels, block, zeros, .. } = self.gradient;
        let segments = window.segments();
        let [pointers, edge, input, _] = self.gradient.thread_parts();
        let rows: *mut *const f32 = scratch.cast();
        let x = scratch.wrapping_add(pointers + edge);
        let dy = x.wrapping_add(input);
        let group_items = panels.count() * segments;
        let run = self.gradient.run_len();
        // SAFETY: the caller's promise; the scratch memory is as long as `thread_parts` says.
        unsafe {
            let zeros = zeros.bytes().as_ptr().cast();
            window.fill(pixels.clone(), self.x.ptr(), zeros, rows, *block, scratch.add(pointers));
            for group in items.start / group_items..items.end.div_ceil(group_items) {
                let first = group * group_items;
                let own = items.start.max(first) - first..items.end.min(first + group_items) - first;
                let own_panels = own.start / segments..own.end.div_ceil(segments);
                let from = self.dy.ptr().add(pixels.start * geometry.cout + group * panels.channels);
                pack_gradient(from, geometry.cout, pixels.len(), *panels, own_panels.clone(), dy);
                for segment in 0..segments {
                    // All but the first and the last panel have all segments.
                    let with = |&panel: &usize| own.contains(&(panel * segments + segment));
                    let mut with = own_panels.clone().filter(with).peekable();
                    if with.peek().is_some() {
                        let rows = rows.add(segment * block);
                        let from = group * run * usize::from(window.run() == 1);
                        pack_input::<V>(simd, rows, pixels.len(), from, run, x);
                    }
                    for panel in with {
                        let row = dw.add(segment * run * geometry.cout + group * panels.channels);
                        self.panel::<V>(simd, panel, pixels.len(), x, dy, row, accumulate);
                    }
                }
            }
        }
    }

    /// Adds the products of one run with one panel of a group, both packed, to weights whose rows begin at `dw`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // what the loops of its callers have reached
    unsafe fn panel<V: Vector>(
        &self,
        simd: Simd<V>,
        panel: usize,
        pixels: usize,
        x: *const f32,
        dy: *const f32,
        dw: *mut f32,
        accumulate: bool,
    ) {
        let DirectFilter { geometry, panels, .. } = self.gradient;
        let run = self.gradient.run_len();
        let (width, vectors) = panels.size(panel);
        let channel = panel * panels.shape.width();
        let mut first = 0;
        while first < run {
            let size = panels.shape.within(run - first);
            let tile = FilterTile {
                x: x.wrapping_add(first),
                x_step: input_step(run),
                dy: dy.wrapping_add(channel * pixels),
                dy_step: vectors * V::LANES,
                pixels,
                width,
                dw: dw.wrapping_add(first * geometry.cout + channel),
                dw_step: geometry.cout,
                accumulate,
                ahead: [std::ptr::null(); 2],
                ahead_step: 0,
            };
            // SAFETY: the caller's promise.
            unsafe { correlate::<V, false>(simd, size, vectors, &tile) };
            first += size;
        }
    }
}
