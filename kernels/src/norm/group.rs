//! Group normalisation (Wu and He 2018): statistics per image and group of channels. Its gradient is in
//! [`super::group_backward`].
//!
//! The inner loops are those of batch normalisation, over channels that lie side by side. A *piece* is a run of pixels
//! of one image: its channels' sums are taken as there, then merged by group. Images are cut into as many pieces as give
//! every thread the same number of them, so a single image keeps all threads busy too.

use std::ops::Range;

use resnetc_compiler::ir::op::Epilogue;
use resnetc_compiler::plan::GroupGeometry;

use super::apply::{BnApply, Norm};
use super::stats::{Moments, StatsWork};
use crate::ctx::Ctx;
use crate::maps::{Partials, Rows, expect_len, map_row_range};
use crate::memory::{Dst, LINE, Src};
use crate::simd::Element;
use crate::threads::chunk;

/// Two numbers per group of a piece.
pub(super) type GroupSums = [f64; 2];

/// How the images are cut.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    /// Sizes of the map.
    pub geometry: GroupGeometry,
    /// Of one image.
    per_image: usize,
    /// How many threads there are.
    pub threads: usize,
}

impl Pieces {
    /// As many pieces as give every thread the same number.
    pub fn new(geometry: GroupGeometry, threads: usize) -> Self {
        let (mut a, mut b) = (threads, geometry.images.max(1));
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Pieces { geometry, per_image: threads / a, threads }
    }

    fn count(&self) -> usize {
        self.geometry.images * self.per_image
    }

    /// The pieces of one thread.
    pub fn of(&self, thread: usize) -> Range<usize> {
        chunk(self.count(), 1, thread, self.threads)
    }

    /// Image and rows of a piece.
    pub fn place(&self, piece: usize) -> (usize, Range<usize>) {
        let (image, part) = (piece / self.per_image, piece % self.per_image);
        let pixels = chunk(self.geometry.pixels, 1, part, self.per_image);
        let first = image * self.geometry.pixels;
        (image, first + pixels.start..first + pixels.end)
    }

    /// The pieces of one image.
    pub fn of_image(&self, image: usize) -> Range<usize> {
        image * self.per_image..(image + 1) * self.per_image
    }

    /// Channels of a group.
    pub fn width(&self) -> usize {
        self.geometry.channels / self.geometry.groups
    }

    /// Floats that the groups' sums of all pieces take.
    pub fn sums_len(&self) -> usize {
        let floats = size_of::<GroupSums>() / size_of::<f32>();
        (floats * self.count() * self.geometry.groups).next_multiple_of(LINE)
    }
}

/// The groups' sums of all pieces, in scratch memory; each thread writes those of its pieces.
#[derive(Clone, Copy)]
pub(super) struct PieceSums<'a> {
    scratch: Dst<'a, f32>,
    groups: usize,
}

impl<'a> PieceSums<'a> {
    /// Lays them out.
    pub fn new(scratch: Dst<'a, f32>, pieces: Pieces) -> Self {
        assert!(scratch.len() >= pieces.sums_len(), "scratch memory is smaller than was asked for at load");
        assert!(scratch.ptr().cast::<f64>().is_aligned(), "scratch memory starts at a cache line");
        PieceSums { scratch, groups: pieces.geometry.groups }
    }

    /// Of one piece.
    ///
    /// # Safety
    /// The piece exists; nothing else reads or writes its sums while the slice lives.
    pub unsafe fn of(&self, piece: usize) -> &'a mut [GroupSums] {
        let first = self.scratch.ptr().cast::<GroupSums>().wrapping_add(piece * self.groups);
        // SAFETY: inside the scratch memory, whose size and alignment `new` has checked; unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(first, self.groups) }
    }
}

/// The scratch memory behind the first `len` floats.
pub(super) fn behind<'a>(ctx: &Ctx<'a>, len: usize) -> Ctx<'a> {
    Ctx { scratch: ctx.scratch.split_at(len).1, ..*ctx }
}

/// A thread's vector of one number per channel, the `nth` of `of` in each thread's part.
///
/// # Safety
/// Nothing else reads or writes it while the slice lives.
pub(super) unsafe fn per_channel<'a>(
    scratch: Dst<'a, f32>,
    channels: usize,
    thread: usize,
    [nth, of]: [usize; 2],
) -> &'a mut [f32] {
    let start = (thread * of + nth) * channels.next_multiple_of(LINE);
    // SAFETY: the range is checked; unique by the caller's promise.
    unsafe { scratch.slice(start..start + channels) }
}

/// Floats that all threads' vectors take, `of` each.
pub(super) fn per_channel_len(channels: usize, threads: usize, of: usize) -> usize {
    threads * of * channels.next_multiple_of(LINE)
}

/// Repeats a number per group for each of its channels.
pub(super) fn spread(of_groups: impl IntoIterator<Item = f32>, width: usize, of_channels: &mut [f32]) {
    for (channels, value) in of_channels.chunks_exact_mut(width).zip(of_groups) {
        channels.fill(value);
    }
}

/// Checks the lengths of `x`, of maps without gaps, of vectors of one number per channel, and of statistics.
#[track_caller]
pub(super) fn expect_sizes<E: Element>(
    g: &GroupGeometry,
    x: Rows<'_, E>,
    maps: &[usize],
    channels: &[usize],
    groups: &[usize],
) {
    assert!(g.groups > 0 && g.channels.is_multiple_of(g.groups), "groups divide the channels");
    x.expect(g.images * g.pixels, g.channels, "x");
    maps.iter().for_each(|&len| expect_len(len, g.images * g.pixels * g.channels, "maps"));
    channels.iter().for_each(|&len| expect_len(len, g.channels, "per channel"));
    groups.iter().for_each(|&len| expect_len(len, g.images * g.groups, "per group"));
}

/// Floats of scratch memory for [`group_stats`].
pub fn group_stats_scratch_len(g: &GroupGeometry, threads: usize) -> usize {
    Partials::<2, 3>::scratch_len(g.channels, threads) + Pieces::new(*g, threads).sums_len()
}

/// Mean and `1 / sqrt(var + eps)` of every group of every image, in one pass over memory: see
/// [`bn_stats`](super::stats::bn_stats). A group's moments are those of its channels, merged.
pub fn group_stats<E: Element>(
    ctx: &Ctx<'_>,
    g: &GroupGeometry,
    eps: f32,
    x: Rows<'_, E>,
    [mean, rstd]: [Dst<'_, f32>; 2],
) {
    expect_sizes(g, x, &[], &[], &[mean.len(), rstd.len()]);
    let (channels, pieces) = (g.channels, Pieces::new(*g, ctx.threads.count()));
    let partials = Partials::<2, 3>::new(ctx, channels);
    let rest = behind(ctx, Partials::<2, 3>::scratch_len(channels, pieces.threads));
    let sums = PieceSums::new(rest.scratch, pieces);
    ctx.parallel(x.view.len(), &|thread| {
        for piece in pieces.of(thread) {
            let rows = pieces.place(piece).1;
            let count = rows.len() as f64;
            ctx.isa.dispatch(StatsWork { x, rows, channels, partials, thread });
            // SAFETY: the work is done; piece and part are this thread's.
            let (([mean, m2], _), sums) = unsafe { (partials.of(thread), sums.of(piece)) };
            let of_channels = mean.chunks_exact(pieces.width()).zip(m2.chunks_exact(pieces.width()));
            for (sum, (mean, m2)) in sums.iter_mut().zip(of_channels) {
                let mut all = Moments::default();
                mean.iter().zip(m2).for_each(|(&mean, &m2)| all.merge(Moments { count, mean, m2 }));
                *sum = [all.mean, all.m2];
            }
        }
    });
    // SAFETY: all threads are done.
    let [mean, rstd] = [mean, rstd].map(|v| unsafe { v.slice(0..g.images * g.groups) });
    for at in 0..g.images * g.groups {
        let mut all = Moments::default();
        for piece in pieces.of_image(at / g.groups) {
            // SAFETY: all threads are done.
            let [mean, m2] = unsafe { sums.of(piece)[at % g.groups] };
            let count = (pieces.place(piece).1.len() * pieces.width()) as f64;
            all.merge(Moments { count, mean, m2 });
        }
        (mean[at], rstd[at]) = (all.mean as f32, all.rstd(eps));
    }
}

/// Per-group operands of a normalisation, each `[images, groups]`, and its scale `[channels]`.
#[derive(Clone, Copy)]
pub struct GroupNorm<'a> {
    /// Mean of the group.
    pub mean: Src<'a, f32>,
    /// Reciprocal standard deviation.
    pub rstd: Src<'a, f32>,
    /// gamma
    pub scale: Src<'a, f32>,
}

/// The groups of one image.
///
/// # Panics
/// When it does not exist.
///
/// # Safety
/// Nothing writes the view while the slice lives.
pub(super) unsafe fn groups_of<'a>(g: &GroupGeometry, view: Src<'a, f32>, image: usize) -> &'a [f32] {
    // SAFETY: the caller's promise.
    unsafe { view.part(image * g.groups..(image + 1) * g.groups).slice() }
}

/// Floats of scratch memory for [`group_apply`].
pub fn group_apply_scratch_len(g: &GroupGeometry, threads: usize) -> usize {
    per_channel_len(g.channels, threads, 2)
}

/// `y = act((x - mean) * rstd * scale + shift + residual)`; `y` may be `x` or the residual.
/// The residual is there when the epilogue says so.
#[allow(clippy::too_many_arguments)] // the operands of one step, as the plan lists them
pub fn group_apply<E: Element>(
    ctx: &Ctx<'_>,
    g: &GroupGeometry,
    epilogue: Epilogue,
    x: Rows<'_, E>,
    norm: GroupNorm<'_>,
    shift: Src<'_, f32>,
    residual: Option<Src<'_, E>>,
    y: Dst<'_, E>,
) {
    let maps = [y.len(), residual.map_or(y.len(), Src::len)];
    expect_sizes(g, x, &maps, &[norm.scale.len(), shift.len()], &[norm.mean.len(), norm.rstd.len()]);
    let pieces = Pieces::new(*g, ctx.threads.count());
    ctx.parallel(x.view.len(), &|thread| {
        // SAFETY: this thread's vectors.
        let [mean, rstd] = [0, 1].map(|i| unsafe { per_channel(ctx.scratch, g.channels, thread, [i, 2]) });
        for piece in pieces.of(thread) {
            let (image, rows) = pieces.place(piece);
            for (from, to) in [(norm.mean, &mut *mean), (norm.rstd, &mut *rstd)] {
                // SAFETY: statistics are not written by this kernel.
                spread(unsafe { groups_of(g, from, image) }.iter().copied(), pieces.width(), to);
            }
            let norm = Norm { mean: (&*mean).into(), rstd: (&*rstd).into(), scale: norm.scale };
            let op = BnApply { act: epilogue.act, x, norm, shift, residual, y };
            // SAFETY: the rows are this thread's.
            unsafe { map_row_range(ctx, rows, g.channels, &op) };
        }
    });
}
