//! Batch statistics and the sums of the backward pass.

use std::ops::Range;

use super::apply::BnMask;
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Partials, Place, Rows, accumulate, expect_len};
use crate::memory::{Dst, LINE, Src};
use crate::simd::{Access, Element, Simd, Vector, Work};
use crate::threads::chunk;

/// Rows whose terms are added in `f32`.
const SUM_BLOCK: usize = 128;

/// Bytes of a block that [`bn_stats`] reads twice: it stays in the second-level cache.
const STATS_BLOCK_BYTES: usize = 128 << 10;

/// Merging the threads' totals alone is faster than waking the others, below this many of them.
const MERGE_ALONE: usize = 1 << 13;

/// `1 / sqrt(var + eps)` per channel.
pub fn running_rstd(eps: f32, var: Src<'_, f32>, rstd: Dst<'_, f32>) {
    expect_len(var.len(), rstd.len(), "running_var");
    // SAFETY: nothing writes the variances meanwhile, nothing else uses the result, and this is the only thread.
    let (var, rstd) = unsafe { (var.slice(), rstd.slice(0..rstd.len())) };
    for (rstd, var) in rstd.iter_mut().zip(var) {
        *rstd = (1.0 / (f64::from(*var) + f64::from(eps)).sqrt()) as f32;
    }
}

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
    sum_terms(ctx, rows, &Plain { x: dy.into() }, [db], [None]);
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
#[derive(Clone, Copy)]
struct Plain<'a, E> {
    x: Rows<'a, E>,
}

impl<E: Element> MapOp<0, 1, 1> for Plain<'_, E> {
    type Element = E;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.x)], outputs: [None] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), x: [V; 1]) -> [V; 1] {
        x
    }
}

/// Two terms: `dy' * (x - mean), dy'`.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a, E> {
    /// Gradient behind the activation.
    pub dy: Src<'a, E>,
    /// What was normalised.
    pub x: Rows<'a, E>,
    /// Per channel.
    pub mean: Src<'a, f32>,
    /// Per channel, where the mask is one by the input: no other is read.
    pub rstd: Src<'a, f32>,
    /// How to come by `dy'`.
    pub mask: Option<BnMask<'a, E>>,
}

impl<E: Element> MapOp<4, 3, 2> for Backward<'_, E> {
    type Element = E;
    /// `mean`, and the mask's
    type Channel<V: Vector> = [V; 3];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 4, 3, 2> {
        let ([scale, shift], y) = BnMask::operands(self.mask);
        Operands {
            channels: [Some(self.mean), scale.map(|_| self.rstd), scale, shift],
            inputs: [Some(self.x), Some(self.dy.into()), y],
            outputs: [None; 2],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, [mean, rstd, scale, shift]: [V; 4]) -> [V; 3] {
        [mean, rstd.mul(scale), shift]
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        [mean, factor, shift]: [V; 3],
        [x, dy, y]: [V; 3],
    ) -> [V; 2] {
        let centred = x.sub(mean);
        let dy = BnMask::unmask(self.mask, [factor, shift], [centred, dy, y]);
        [centred.mul(dy), dy]
    }
}

/// `out[k] = factor[k] * sum(terms[k])`, a missing factor being 1.
fn sum_terms<M: MapOp<C, I, K>, const C: usize, const I: usize, const K: usize>(
    ctx: &Ctx<'_>,
    rows: usize,
    op: &M,
    out: [Dst<'_, f32>; K],
    factors: [Option<Src<'_, f32>>; K],
) {
    let channels = out[0].len();
    let partials = Partials::<K, K>::new(ctx, channels);
    let threads = ctx.threads.count();
    ctx.parallel(rows * channels, &|thread| {
        let rows = chunk(rows, 1, thread, threads);
        ctx.isa.dispatch(SumWork { op, rows, partials, thread });
    });
    over_channels(ctx, channels, &|range| {
        // SAFETY: the channels are this thread's; nothing writes factors.
        let (out, factors) =
            unsafe { (out.map(|v| v.slice(range.clone())), factors.map(|f| f.map(|f| f.slice()))) };
        for (i, c) in range.enumerate() {
            let mut sums = [0.0f64; K];
            for thread in 0..threads {
                // SAFETY: the threads are done.
                let total = unsafe { partials.total(thread, c) };
                sums.iter_mut().zip(total).for_each(|(sum, t)| *sum += t);
            }
            for k in 0..K {
                out[k][i] = (sums[k] * factors[k].map_or(1.0, |f| f64::from(f[c]))) as f32;
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

/// Sums of an operation's results over some rows: they become the thread's totals.
pub(super) struct SumWork<'a, M, const C: usize, const I: usize, const K: usize> {
    /// The operation.
    pub op: &'a M,
    /// Of the map.
    pub rows: Range<usize>,
    /// Where totals are.
    pub partials: Partials<'a, K, K>,
    /// Which of them are this work's.
    pub thread: usize,
}
impl<M: MapOp<C, I, K>, const C: usize, const I: usize, const K: usize> Work for SumWork<'_, M, C, I, K> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: this thread's part.
        let (mut totals, mut blocks) = unsafe { self.partials.of(self.thread) };
        totals.iter_mut().for_each(|total| total.fill(0.0));
        for start in self.rows.clone().step_by(SUM_BLOCK) {
            let block = start..self.rows.end.min(start + SUM_BLOCK);
            blocks.iter_mut().for_each(|block| block.fill(0.0));
            accumulate(simd, self.op, block, blocks.each_mut().map(|block| &mut **block));
            for (total, block) in totals.iter_mut().zip(&blocks) {
                total.iter_mut().zip(&**block).for_each(|(total, &sum)| *total += f64::from(sum));
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
    let StatsOut { running_mean, running_var, mean, rstd } = out;
    moments(ctx, rows, x, [running_mean, running_var, mean, rstd], &|all, out| {
        let [running_mean, running_var, mean, rstd] = out;
        (*mean, *rstd) = (all.mean as f32, all.rstd(attrs.eps));
        update([running_mean, running_var], &all, attrs.momentum);
    });
}

/// Mean and biased variance of every channel of `x [rows, channels]`, as [`bn_stats`] finds them.
pub fn bn_moments<E: Element>(ctx: &Ctx<'_>, rows: usize, x: Rows<'_, E>, out: [Dst<'_, f32>; 2]) {
    moments(ctx, rows, x, out, &|all, [mean, var]| {
        (*mean, *var) = (all.mean as f32, (all.m2 / all.count) as f32);
    });
}

/// Finds the moments of every channel, and has their results written, one of each vector in `out` for each channel.
fn moments<E: Element, const K: usize>(
    ctx: &Ctx<'_>,
    rows: usize,
    x: Rows<'_, E>,
    out: [Dst<'_, f32>; K],
    write: &(dyn Fn(Moments, [&mut f32; K]) + Sync),
) {
    let channels = out[0].len();
    x.expect(rows, channels, "x");
    out.iter().for_each(|vector| expect_len(vector.len(), channels, "per channel"));
    let partials = Partials::<2, 3>::new(ctx, channels);
    let threads = ctx.threads.count();
    ctx.parallel(rows * channels, &|thread| {
        let rows = chunk(rows, 1, thread, threads);
        ctx.isa.dispatch(StatsWork { x, rows, channels, partials, thread });
    });
    over_channels(ctx, channels, &|range| {
        // SAFETY: the channels are this thread's.
        let mut out = out.map(|vector| unsafe { vector.slice(range.clone()) });
        for (i, c) in range.enumerate() {
            let mut all = Moments::default();
            for thread in 0..threads {
                // SAFETY: the threads are done.
                let [mean, m2] = unsafe { partials.total(thread, c) };
                all.merge(Moments { count: chunk(rows, 1, thread, threads).len() as f64, mean, m2 });
            }
            write(all, out.each_mut().map(|vector| &mut vector[i]));
        }
    });
}

/// Mixes a batch's statistics into the running ones.
pub fn update([mean, var]: [&mut f32; 2], all: &Moments, momentum: f32) {
    let momentum = f64::from(momentum);
    // PyTorch refuses a batch of one row; its unbiased variance would be 0 / 0.
    let unbiased = all.m2 / (all.count - 1.0).max(1.0);
    let mix = |old: f32, new: f64| ((1.0 - momentum) * f64::from(old) + momentum * new) as f32;
    (*mean, *var) = (mix(*mean, all.mean), mix(*var, unbiased));
}

/// Count, mean and sum of squared deviations of a set of values.
#[derive(Clone, Copy, Default)]
pub struct Moments {
    /// Values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of their squared deviations from it.
    pub m2: f64,
}

impl Moments {
    /// `1 / sqrt(var + eps)`, with the biased variance.
    pub fn rstd(&self, eps: f32) -> f32 {
        (1.0 / (self.m2 / self.count + f64::from(eps)).sqrt()) as f32
    }

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
#[derive(Clone, Copy)]
struct Deviations<'a, E> {
    x: Rows<'a, E>,
    mean: Src<'a, f32>,
}

impl<E: Element> MapOp<1, 1, 2> for Deviations<'_, E> {
    type Element = E;
    /// `mean`
    type Channel<V: Vector> = V;

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 1, 1, 2> {
        Operands { channels: [Some(self.mean)], inputs: [Some(self.x)], outputs: [None; 2] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, [mean]: [V; 1]) -> V {
        mean
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, mean: V, [x]: [V; 1]) -> [V; 2] {
        let d = x.sub(mean);
        [d, d.mul(d)]
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
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: this thread's part.
        let ([mean, m2], mut blocks) = unsafe { self.partials.of(self.thread) };
        mean.fill(0.0);
        m2.fill(0.0);
        let size = (STATS_BLOCK_BYTES / size_of::<E>() / self.channels).clamp(8, SUM_BLOCK);
        for start in self.rows.clone().step_by(size) {
            let block = start..self.rows.end.min(start + size);
            let before = (start - self.rows.start) as f64;
            self.add_block(simd, block, before, [mean, m2], &mut blocks);
        }
    }
}

impl<E: Element> StatsWork<'_, E> {
    /// Merges a block of rows into the moments of the `before` rows seen so far.
    #[inline(always)]
    fn add_block<V: Vector>(
        &self,
        simd: Simd<V>,
        rows: Range<usize>,
        before: f64,
        [mean, m2]: [&mut [f64]; 2],
        [estimate, deviation, square]: &mut [&mut [f32]; 3],
    ) {
        let count = rows.len() as f32;
        let channels = self.channels;
        let [estimate, deviation, square] = [estimate, deviation, square].map(|block| &mut block[..channels]);
        let (mean, m2) = (&mut mean[..channels], &mut m2[..channels]);
        [&mut *estimate, &mut *deviation, &mut *square].into_iter().for_each(|block| block.fill(0.0));
        accumulate(simd, &Plain { x: self.x }, rows.clone(), [&mut *estimate]);
        estimate.iter_mut().for_each(|sum| *sum /= count);
        let deviations = Deviations { x: self.x, mean: (&*estimate).into() };
        accumulate(simd, &deviations, rows, [&mut *deviation, &mut *square]);
        let count = f64::from(count);
        for c in 0..channels {
            let off = f64::from(deviation[c]) / count;
            let block = Moments {
                count,
                mean: f64::from(estimate[c]) + off,
                // Rounding must not make it negative.
                m2: (f64::from(square[c]) - off * off * count).max(0.0),
            };
            let mut all = Moments { count: before, mean: mean[c], m2: m2[c] };
            all.merge(block);
            (mean[c], m2[c]) = (all.mean, all.m2);
        }
    }
}
