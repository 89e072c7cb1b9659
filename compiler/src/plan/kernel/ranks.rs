//! What ranks tell each other within a step. Sums over ranks are formed in `f32`, in the order of the ranks, so that the same number of ranks
//! gives the same bits. A rank that is alone has a share of 1.

use serde::{Deserialize, Serialize};

use super::batch_norm::statistics;
use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands};
use super::text::{flag, matrix};
use crate::ir::types::DType;

/// Begins to sum a bucket of gradients over all ranks, in place: `grad = sum over ranks of share * grad`, where `share` is that of the rank's
/// images among those of the update. Returns at once; until [`AllReduceWait`] no step touches the bucket. Where ranks update by their own
/// gradients, buckets are pieces of the parameters and of the optimizer's state, and the share is that of all images since the last sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllReduce {
    /// Elements.
    pub len: usize,
    /// Number of the bucket, in the order in which they begin; another may have it when this one was waited for.
    pub bucket: usize,
    /// What gradients are sent as.
    pub wire: DType,
    /// Whether the share is still to be multiplied with: a sum over batches has it already.
    pub weighted: bool,
}

impl KernelInfo for AllReduce {
    fn name(&self) -> &'static str {
        "all_reduce"
    }

    fn operands(&self) -> Option<Operands> {
        Some(Operands::new([bucket(self.len)], []).input(self.weighted.then(share)))
    }

    fn geometry(&self) -> String {
        let as_type = if self.wire.is_narrow() { format!(" as {}", self.wire) } else { String::new() };
        format!("{} bucket {}{as_type}{}", self.len, self.bucket, flag(self.weighted, "weighted"))
    }
}

/// Waits until a bucket of gradients is summed over all ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllReduceWait {
    /// Elements.
    pub len: usize,
    /// Number of the bucket.
    pub bucket: usize,
    /// What gradients are sent as.
    pub wire: DType,
}

impl KernelInfo for AllReduceWait {
    fn name(&self) -> &'static str {
        "all_reduce_wait"
    }

    fn operands(&self) -> Option<Operands> {
        Some(Operands::new([bucket(self.len)], []))
    }

    fn geometry(&self) -> String {
        format!("{} bucket {}", self.len, self.bucket)
    }
}

/// Begins to give all ranks a span of parameters, of which each has updated its own part: as many elements on each, from
/// [`part_start`](crate::ir::ranks::part_start) on. Returns at once; until [`AllGatherWait`] no step touches the span. A rank that is alone
/// has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllGather {
    /// Elements of the span.
    pub len: usize,
    /// Elements of each rank's part.
    pub part: usize,
    /// Number of the span, in the order in which they begin.
    pub bucket: usize,
}

impl KernelInfo for AllGather {
    fn name(&self) -> &'static str {
        "all_gather"
    }

    fn operands(&self) -> Option<Operands> {
        (self.part <= self.len)
            .then(|| Operands::new([Operand::new("param", Content::Param, [self.len])], []))
    }

    fn geometry(&self) -> String {
        format!("{} bucket {} parts of {}", self.len, self.bucket, self.part)
    }
}

/// Waits until the parameters of a span are those of all ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllGatherWait {
    /// Elements of the span.
    pub len: usize,
    /// Elements of each rank's part.
    pub part: usize,
    /// Number of the span.
    pub bucket: usize,
}

impl KernelInfo for AllGatherWait {
    fn name(&self) -> &'static str {
        "all_gather_wait"
    }

    fn operands(&self) -> Option<Operands> {
        let param = Operand::new("param", Content::Param, [self.len]).updated();
        (self.part <= self.len).then(|| Operands::new([param], []))
    }

    fn geometry(&self) -> String {
        format!("{} bucket {}", self.len, self.bucket)
    }
}

/// Mean and biased variance of every channel of the rank's own batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BnMoments {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for BnMoments {
    fn name(&self) -> &'static str {
        "bn_moments"
    }

    fn operands(&self) -> Option<Operands> {
        self.rows.checked_mul(self.channels)?;
        let x = Operand::map("x", [self.rows, self.channels, 1, 1]).slice();
        Some(Operands::new([x], moments(self.channels)))
    }

    fn geometry(&self) -> String {
        matrix(self.rows, self.channels)
    }
}

/// Statistics of the images of all ranks, from each rank's moments: with the rows `m` of all ranks `mean = sum m_r mean_r / m`,
/// `var = sum m_r (var_r + (mean_r - mean)^2) / m` (Chan, Golub and LeVeque 1983). Updates the running ones in place, as
/// [`BnStats`](super::BnStats) does. Ranks whose share is 0 do not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BnCombine {
    /// Pixels of the rank's own images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
}

impl KernelInfo for BnCombine {
    fn name(&self) -> &'static str {
        "bn_combine"
    }

    fn operands(&self) -> Option<Operands> {
        let vector = |name, content| Operand::new(name, content, [self.channels]);
        let running = [("running_mean", Content::RunningMean), ("running_var", Content::RunningVar)];
        let [running_mean, running_var] = running.map(|(name, content)| vector(name, content).updated());
        let [mean, var] = moments(self.channels);
        let outputs = statistics(vector("", Content::Mean));
        Some(Operands::new([mean, var, running_mean, running_var, share()], outputs))
    }

    fn geometry(&self) -> String {
        format!("{} eps {} momentum {}", matrix(self.rows, self.channels), self.eps, self.momentum)
    }
}

/// Sums of a batch normalisation's gradient over the images of all ranks, each rank's times its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BnCombineSums {
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for BnCombineSums {
    fn name(&self) -> &'static str {
        "bn_combine_sums"
    }

    fn operands(&self) -> Option<Operands> {
        let sum = |name| Operand::new(name, Content::Sum, [self.channels]);
        let outputs = ["all_dscale", "all_dshift"].map(sum);
        Some(Operands::new([sum("dscale"), sum("dshift"), share()], outputs))
    }

    fn geometry(&self) -> String {
        self.channels.to_string()
    }
}

fn bucket(len: usize) -> Operand {
    Operand::new("grad", Content::Grad, [len]).updated()
}

fn share() -> Operand {
    Operand::new("share", Content::Factor, [])
}

/// `batch_mean, batch_var`
fn moments(channels: usize) -> [Operand; 2] {
    [("batch_mean", Content::Mean), ("batch_var", Content::Variance)]
        .map(|(name, content)| Operand::new(name, content, [channels]))
}
