//! Batch statistics and the sums of the backward pass.

use std::ops::Range;

use super::apply::BnMask;
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{Partials, Rows, Terms, accumulate, expect_len};
use crate::cpu::memory::{Dst, LINE, Src};
use crate::cpu::simd::{Access, Element, Vector, Work, load};
use crate::cpu::threads::chunk;

/// Rows whose terms are added in `f32`.
const SUM_BLOCK: usize = 128;

/// Bytes of a block that [`bn_stats`] reads twice: it stays in the second-level cache.
const STATS_BLOCK_BYTES: usize = 128 << 10;

/// Merging the threads' totals alone is faster than waking the others, below this many of them.
const MERGE_ALONE: usize = 1 << 13;

/// Floats of scratch memory for [`channel_sum`].
pub fn channel_sum_scratch_len(channels: usize, threads: usize) -> usize {
    Partials::<1, 1>::scratch_len(channels, threads)
}

/// Floats of scratch memory for [`bn_backward_reduce`].
pub fn bn_backward_reduce_scratch_len(channels: usize, threads: usize) -> usize {
    Partials::<2, 2>::scratch_len(channels, threads)
}

/// Floats of scratch memory for [`bn_stats`].
pub fn bn_stats_scratch_len(channels: usize, threads: usize) -> usize {
    Partials::<2, 3>::scratch_len(channels, threads)
}

/// `db = sum(dy)` over rows: `dy [rows, channels] -> db [channels]`.
pub fn channel_sum<E: Element>(ctx: &Ctx<'_>, rows: usize, dy: Src<'_, E>, db: Dst<'_, f32>) {
    expect_len(dy.len(), rows * db.len(), "dy");
    sum_terms(ctx, rows, &Plain { x: Rows { view: dy, gap: 0 } }, [db], [None]);
}

/// `dscale = rstd * sum(dy' * (x - mean))`, `dshift = sum(dy')` over rows, where `dy'` is `dy` before the activation, as
/// `mask` says.
pub fn bn_backward_reduce<E: Element>(
    ctx: &Ctx<'_>,
    rows: usize,
    dy: Src<'_, E>,
    x: Rows<'_, E>,
    [mean, rstd]: [Src<'_, f32>; 2],
    mask: Option<BnMask<'_, E>>,
    [dscale, dshift]: [Dst<'_, f32>; 2],
) {
    let channels = mean.len();
    for len in [rstd.len(), dscale.len(), dshift.len()] {
        expect_len(len, channels, "per channel");
    }
    expect_len(dy.len(), rows * channels, "dy");
    if let Some(mask) = mask {
        mask.expect(rows, channels);
    }
    x.expect(rows, channels, "x");
    sum_terms(ctx, rows, &Backward { dy, x, mean, rstd, mask }, [dscale, dshift], [Some(rstd), None]);
}

/// One term: the element itself.
struct Plain<'a, E> {
    x: Rows<'a, E>,
}

impl<E: Element> Terms<1> for Plain<'_, E> {
    type Channel<V: Vector> = ();

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, _: impl Access, _: usize) {}

    #[inline(always)]
    unsafe fn terms<V: Vector>(&self, access: impl Access, (): (), row: usize, at: usize) -> [V; 1] {
        // SAFETY: the caller's promise.
        [unsafe { self.x.load(access, row, at) }]
    }
}

/// Two terms: `dy' * (x - mean), dy'`.
pub(super) struct Backward<'a, E> {
    /// Gradient behind the activation.
    pub dy: Src<'a, E>,
    /// What was normalised.
    pub x: Rows<'a, E>,
    /// Per channel.
    pub mean: Src<'a, f32>,
    /// Per channel; only masks need it.
    pub rstd: Src<'a, f32>,
    /// How to come by `dy'`.
    pub mask: Option<BnMask<'a, E>>,
}

impl<E: Element> Terms<2> for Backward<'_, E> {
    /// `mean`, and the mask's
    type Channel<V: Vector> = [V; 3];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> [V; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let [factor, shift] = BnMask::channel(self.mask, access, self.rstd, c);
            [load(access, self.mean, c), factor, shift]
        }
    }

    #[inline(always)]
    unsafe fn terms<V: Vector>(
        &self,
        access: impl Access,
        [mean, factor, shift]: [V; 3],
        row: usize,
        at: usize,
    ) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let centred = self.x.load::<V>(access, row, at).sub(mean);
            let dy: V = load(access, self.dy, at);
            let dy = BnMask::unmask(self.mask, access, [factor, shift], centred, dy, at);
            [centred.mul(dy), dy]
        }
    }
}

/// `out[k] = factor[k] * sum(terms[k])`, a missing factor being 1.
fn sum_terms<T: Terms<K> + Sync, const K: usize>(
    ctx: &Ctx<'_>,
    rows: usize,
    op: &T,
    out: [Dst<'_, f32>; K],
    factors: [Option<Src<'_, f32>>; K],
) {
    let channels = out[0].len();
    let partials = Partials::<K, K>::new(ctx, channels);
    let threads = ctx.threads.count();
    ctx.parallel(rows * channels, &|thread| {
        let rows = chunk(rows, 1, thread, threads);
        ctx.isa.dispatch(SumWork { op, rows, channels, partials, thread });
    });
    over_channels(ctx, channels, &|range| {
        for c in range {
            let mut sums = [0.0f64; K];
            for thread in 0..threads {
                // SAFETY: the threads are done.
                let total = unsafe { partials.total(thread, c) };
                sums.iter_mut().zip(total).for_each(|(sum, t)| *sum += t);
            }
            for k in 0..K {
                // SAFETY: `c` is inside: all per-channel views have the same length; the channel is this thread's.
                unsafe {
                    let factor = factors[k].map_or(1.0, |f| f64::from(*f.ptr().add(c)));
                    *out[k].ptr().add(c) = (sums[k] * factor) as f32;
                }
            }
        }
    });
}

/// Splits channels over threads for the merge of totals.
fn over_channels(ctx: &Ctx<'_>, channels: usize, task: &(dyn Fn(Range<usize>) + Sync)) {
    let threads = ctx.threads.count();
    if channels * threads <= MERGE_ALONE {
        task(0..channels);
    } else {
        ctx.threads.run(&|thread| task(chunk(channels, LINE, thread, threads)));
    }
}

/// Sums of terms over some rows: they become the thread's totals.
pub(super) struct SumWork<'a, T, const K: usize> {
    /// The terms.
    pub op: &'a T,
    /// Of the map.
    pub rows: Range<usize>,
    /// Of the map.
    pub channels: usize,
    /// Where totals are.
    pub partials: Partials<'a, K, K>,
    /// Which of them are this work's.
    pub thread: usize,
}

impl<T: Terms<K>, const K: usize> Work for SumWork<'_, T, K> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: this thread's part.
        let totals = unsafe { self.partials.totals(self.thread) };
        let blocks = self.partials.blocks(self.thread);
        totals.into_iter().for_each(|total| total.fill(0.0));
        for start in self.rows.clone().step_by(SUM_BLOCK) {
            let block = start..self.rows.end.min(start + SUM_BLOCK);
            // SAFETY: the rows are inside the map; the part is this thread's.
            unsafe {
                blocks.iter().for_each(|b| b.write_bytes(0, self.channels));
                accumulate::<V, T, K>(self.op, block, self.channels, blocks);
                for (total, block) in self.partials.totals(self.thread).into_iter().zip(blocks) {
                    for (c, t) in total.iter_mut().enumerate() {
                        *t += f64::from(*block.add(c));
                    }
                }
            }
        }
    }
}

/// Constants of [`bn_stats`].
#[derive(Debug, Clone, Copy)]
pub struct StatsAttrs {
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
}

/// Per-channel results of [`bn_stats`].
#[derive(Clone, Copy)]
pub struct StatsOut<'a> {
    /// Updated: `(1 - momentum) * running_mean + momentum * mean`.
    pub running_mean: Dst<'a, f32>,
    /// Updated likewise, by the unbiased variance.
    pub running_var: Dst<'a, f32>,
    /// Mean of the batch.
    pub mean: Dst<'a, f32>,
    /// `1 / sqrt(var + eps)` with the biased variance.
    pub rstd: Dst<'a, f32>,
}

/// Mean and variance of every channel of `x [rows, channels]`, and the running statistics as PyTorch updates them.
///
/// Memory is read once: per block of rows that stays in cache a corrected two-pass algorithm, between blocks the update
/// of Chan, Golub and LeVeque (1983) in `f64`. So the variance is right to `f32` precision however far the mean is
/// from zero.
pub fn bn_stats<E: Element>(
    ctx: &Ctx<'_>,
    rows: usize,
    attrs: StatsAttrs,
    x: Rows<'_, E>,
    out: StatsOut<'_>,
) {
    let channels = out.mean.len();
    x.expect(rows, channels, "x");
    for v in [out.running_mean, out.running_var, out.rstd] {
        expect_len(v.len(), channels, "per channel");
    }
    let partials = Partials::<2, 3>::new(ctx, channels);
    let threads = ctx.threads.count();
    ctx.parallel(rows * channels, &|thread| {
        let rows = chunk(rows, 1, thread, threads);
        ctx.isa.dispatch(StatsWork { x, rows, channels, partials, thread });
    });
    over_channels(ctx, channels, &|range| {
        for c in range {
            let mut all = Moments::default();
            for thread in 0..threads {
                // SAFETY: the threads are done.
                let [mean, m2] = unsafe { partials.total(thread, c) };
                all.merge(Moments { count: chunk(rows, 1, thread, threads).len() as f64, mean, m2 });
            }
            // SAFETY: `c` is inside, and this thread's.
            unsafe { finish(&all, attrs, &out, c) };
        }
    });
}

/// Stores the results of channel `c`.
///
/// # Safety
/// `c` is inside the views, and no other thread's.
unsafe fn finish(all: &Moments, attrs: StatsAttrs, out: &StatsOut<'_>, c: usize) {
    let momentum = f64::from(attrs.momentum);
    let var = all.m2 / all.count;
    // PyTorch refuses a batch of one row; its unbiased variance would be 0 / 0.
    let unbiased = all.m2 / (all.count - 1.0).max(1.0);
    let mix = |old: f32, new: f64| ((1.0 - momentum) * f64::from(old) + momentum * new) as f32;
    // SAFETY: the caller's promise.
    unsafe {
        *out.mean.ptr().add(c) = all.mean as f32;
        *out.rstd.ptr().add(c) = (1.0 / (var + f64::from(attrs.eps)).sqrt()) as f32;
        let (mean, var) = (out.running_mean.ptr().add(c), out.running_var.ptr().add(c));
        *mean = mix(*mean, all.mean);
        *var = mix(*var, unbiased);
    }
}

/// Count, mean and sum of squared deviations of a set of values.
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    /// Values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of their squared deviations from it.
    pub m2: f64,
}

impl Moments {
    /// Adds a disjoint set.
    #[inline(always)]
    pub fn merge(&mut self, o: Moments) {
        let count = self.count + o.count;
        if o.count > 0.0 {
            let delta = o.mean - self.mean;
            let part = o.count / count;
            self.mean += delta * part;
            self.m2 += o.m2 + delta * delta * self.count * part;
            self.count = count;
        }
    }
}

/// Two terms: deviation from a first estimate of the mean, and its square.
struct Deviations<'a, E> {
    x: Rows<'a, E>,
    mean: *const f32,
}

impl<E: Element> Terms<2> for Deviations<'_, E> {
    type Channel<V: Vector> = V;

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { access.load(self.mean.add(c)) }
    }

    #[inline(always)]
    unsafe fn terms<V: Vector>(&self, access: impl Access, mean: V, row: usize, at: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let d = self.x.load::<V>(access, row, at).sub(mean);
            [d, d.mul(d)]
        }
    }
}

/// Mean and sum of squared deviations of some rows, per channel: they become the thread's totals.
pub(super) struct StatsWork<'a, E> {
    /// The map.
    pub x: Rows<'a, E>,
    /// Of the map.
    pub rows: Range<usize>,
    /// Of the map.
    pub channels: usize,
    /// Where totals are.
    pub partials: Partials<'a, 2, 3>,
    /// Which of them are this work's.
    pub thread: usize,
}

impl<E: Element> Work for StatsWork<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: this thread's part.
        let [mean, m2] = unsafe { self.partials.totals(self.thread) };
        mean.fill(0.0);
        m2.fill(0.0);
        let size = (STATS_BLOCK_BYTES / size_of::<E>() / self.channels).clamp(8, SUM_BLOCK);
        for start in self.rows.clone().step_by(size) {
            let block = start..self.rows.end.min(start + size);
            let before = (start - self.rows.start) as f64;
            // SAFETY: the rows are inside `x`, the part is this thread's.
            unsafe { self.add_block::<V>(block, before, mean, m2) };
        }
    }
}

impl<E: Element> StatsWork<'_, E> {
    /// Merges a block of rows into the moments of the `before` rows seen so far.
    ///
    /// # Safety
    /// Dispatched as [`Vector`] demands; the rows are inside `x`; the thread's part is used by nobody else.
    #[inline(always)]
    unsafe fn add_block<V: Vector>(&self, rows: Range<usize>, before: f64, mean: &mut [f64], m2: &mut [f64]) {
        let blocks @ [estimate, deviation, square] = self.partials.blocks(self.thread);
        let count = rows.len() as f32;
        // SAFETY: the caller's promise.
        unsafe {
            blocks.iter().for_each(|b| b.write_bytes(0, self.channels));
            accumulate::<V, _, 1>(&Plain { x: self.x }, rows.clone(), self.channels, [estimate]);
            for c in 0..self.channels {
                *estimate.add(c) /= count;
            }
            let deviations = Deviations { x: self.x, mean: estimate };
            accumulate::<V, _, 2>(&deviations, rows, self.channels, [deviation, square]);
            let count = f64::from(count);
            for c in 0..self.channels {
                let off = f64::from(*deviation.add(c)) / count;
                let block = Moments {
                    count,
                    mean: f64::from(*estimate.add(c)) + off,
                    // Rounding must not make it negative.
                    m2: (f64::from(*square.add(c)) - off * off * count).max(0.0),
                };
                let mut all = Moments { count: before, mean: mean[c], m2: m2[c] };
                all.merge(block);
                (mean[c], m2[c]) = (all.mean, all.m2);
            }
        }
    }
}
