//! What ranks tell each other within a step. A rank that is alone has all images.

use resnetc_compiler::plan::kernel::{AllGather, AllGatherWait, AllReduce, AllReduceWait};
use resnetc_compiler::plan::{Buffer, Plan};

use super::memory::{Dst, Src};
use super::norm::stats::{Moments, StatsAttrs, StatsOut, update};
use crate::error::Result;
use crate::ranks::Collective;

/// Begins to sum a bucket over all ranks, the rank's gradients times its share.
pub fn all_reduce(ranks: Option<&Collective>, k: &AllReduce, share: f32, grad: Dst<'_, f32>) {
    // SAFETY: the bucket is this step's, and this the only thread.
    let grad = unsafe { grad.slice(0..k.len) };
    match ranks {
        Some(ranks) => ranks.begin_sum(k.bucket, grad, share, k.wire),
        None => grad.iter_mut().for_each(|value| *value *= share),
    }
}

/// Waits for a bucket.
pub fn all_reduce_wait(ranks: Option<&Collective>, k: &AllReduceWait, grad: Dst<'_, f32>) {
    if let Some(ranks) = ranks {
        // SAFETY: the bucket is this step's, and this the only thread.
        ranks.finish_sum(k.bucket, unsafe { grad.slice(0..k.len) }, k.wire);
    }
}

/// Begins to give all ranks the part of a span that this one has updated. One that is alone has all of it.
pub fn all_gather(ranks: Option<&Collective>, k: &AllGather, param: Src<'_, f32>) {
    if let Some(ranks) = ranks {
        // SAFETY: nothing writes it meanwhile.
        ranks.begin_gather(k.bucket, k.part, unsafe { param.slice() });
    }
}

/// Waits for a span.
pub fn all_gather_wait(ranks: Option<&Collective>, k: &AllGatherWait, param: Dst<'_, f32>) {
    if let Some(ranks) = ranks {
        // SAFETY: the span is this step's, and this the only thread.
        ranks.finish_gather(k.bucket, k.part, unsafe { param.slice(0..k.len) });
    }
}

/// Statistics of the images of all ranks, by each rank's `mean, variance` and rows. Ranks without a share do not count.
pub fn bn_combine(
    ranks: Option<&Collective>,
    rows: usize,
    share: f32,
    attrs: StatsAttrs,
    [mean, var]: [Src<'_, f32>; 2],
    out: StatsOut<'_>,
) {
    let channels = mean.len();
    // Rows are exact in `f32` up to 16 million; as two halves they always are.
    let counted = if share > 0.0 || ranks.is_none() { rows } else { 0 };
    // SAFETY: nothing writes them meanwhile.
    let own = [&halves(counted)[..], unsafe { mean.slice() }, unsafe { var.slice() }].concat();
    let all = gathered(ranks, &own);
    let StatsOut { running_mean, running_var, mean, rstd } = out;
    // SAFETY: nothing else uses the results, and this is the only thread.
    let [running_mean, running_var, mean, rstd] =
        [running_mean, running_var, mean, rstd].map(|vector| unsafe { vector.slice(0..channels) });
    for c in 0..channels {
        let mut moments = Moments::default();
        for theirs in all.chunks_exact(own.len()) {
            let count = f64::from(theirs[0]) * HALF + f64::from(theirs[1]);
            let [mean, var] = [2 + c, 2 + channels + c].map(|index| f64::from(theirs[index]));
            moments.merge(Moments { count, mean, m2: var * count });
        }
        (mean[c], rstd[c]) = (moments.mean as f32, moments.rstd(attrs.eps));
        update([&mut running_mean[c], &mut running_var[c]], &moments, attrs.momentum);
    }
}

/// Sums over all ranks, each rank's times its share of the batch's images.
pub fn bn_combine_sums(
    ranks: Option<&Collective>,
    share: f32,
    [dscale, dshift]: [Src<'_, f32>; 2],
    all: [Dst<'_, f32>; 2],
) {
    let channels = dscale.len();
    // SAFETY: nothing writes them meanwhile.
    let own = [&[share][..], unsafe { dscale.slice() }, unsafe { dshift.slice() }].concat();
    let gathered = gathered(ranks, &own);
    // Of an update's several batches, shares are those of the update: they are not 1 in sum.
    let whole: f64 = gathered.chunks_exact(own.len()).map(|theirs| f64::from(theirs[0])).sum();
    for (k, out) in all.into_iter().enumerate() {
        // SAFETY: nothing else uses the results, and this is the only thread.
        let out = unsafe { out.slice(0..channels) };
        for (c, out) in out.iter_mut().enumerate() {
            let term =
                |theirs: &[f32]| f64::from(theirs[0]) / whole * f64::from(theirs[1 + k * channels + c]);
            *out = gathered.chunks_exact(own.len()).map(term).sum::<f64>() as f32;
        }
    }
}

/// Fills a parameter's tensor of state, of which this rank has its own pieces, up with those of the others. All ranks ask for it.
///
/// # Errors
/// Where a rank has gone.
pub fn share_state(
    ranks: &Collective,
    plan: &Plan,
    param: &Buffer,
    tensor: u8,
    state: &mut [u8],
) -> Result<()> {
    let pieces = |rank: usize| plan.pieces(param, tensor, rank).into_iter().map(|piece| piece.range);
    let len = |rank: usize| pieces(rank).map(|range| range.len()).sum::<usize>();
    // Messages are of one length.
    let most = (0..ranks.size()).map(len).max().unwrap_or(0);
    let mut own: Vec<u8> = pieces(ranks.rank()).flat_map(|range| &state[range]).copied().collect();
    own.resize(most, 0);
    let all = ranks.gather(&own)?;
    for (rank, mut theirs) in all.chunks_exact(most.max(1)).enumerate() {
        for range in pieces(rank) {
            let (piece, rest) = theirs.split_at(range.len());
            state[range].copy_from_slice(piece);
            theirs = rest;
        }
    }
    Ok(())
}

/// All ranks' vectors; of one that is alone its own.
fn gathered(ranks: Option<&Collective>, own: &[f32]) -> Vec<f32> {
    let Some(ranks) = ranks else { return own.to_vec() };
    let mut all = vec![0.0; own.len() * ranks.size()];
    ranks.gather_floats(own, &mut all);
    all
}

/// What the first half of a number counts.
const HALF: f64 = 65_536.0;

/// A number as two that are exact in `f32`.
fn halves(number: usize) -> [f32; 2] {
    [(number / HALF as usize) as f32, (number % HALF as usize) as f32]
}
