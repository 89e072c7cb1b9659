//! Normalisations in training that a driver computes at once, statistics and all: as they are asked for, and as they are called.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::types::DType;

/// A batch normalisation to be prepared: `y = act((x - mean) * rstd * scale + shift + residual)` by the statistics of `x`. Maps are packed,
/// all of one element type; the rest is `f32`. Mean and `rstd` are stored; the running statistics take in the mean and the unbiased
/// variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormTask {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Of maps.
    pub element: DType,
    /// Whether a map is added.
    pub residual: bool,
    /// Applied last.
    pub act: Option<Activation>,
    /// Whether the same operands have to give the same bits each time.
    pub deterministic: bool,
}

/// A prepared normalisation with its operands, none of which is in another's place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalise<A> {
    /// The driver's number for it.
    pub id: usize,
    /// The map that is normalised.
    pub x: A,
    /// Factors by channel.
    pub scale: A,
    /// Summands by channel.
    pub shift: A,
    /// The map that is added.
    pub residual: Option<A>,
    /// Mean over batches, updated in place.
    pub running_mean: A,
    /// Variance over batches, likewise.
    pub running_var: A,
    /// Mean of the batch.
    pub mean: A,
    /// `1 / sqrt(variance + eps)` of the batch.
    pub rstd: A,
    /// The result.
    pub y: A,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
    /// As many bytes as it needs beside its operands.
    pub workspace: A,
}

impl<A: Copy> Normalise<A> {
    /// The same at other places.
    pub fn map<B>(&self, to: impl Fn(A) -> B) -> Normalise<B> {
        let &Normalise { id, eps, momentum, .. } = self;
        Normalise {
            id,
            x: to(self.x),
            scale: to(self.scale),
            shift: to(self.shift),
            residual: self.residual.map(&to),
            running_mean: to(self.running_mean),
            running_var: to(self.running_var),
            mean: to(self.mean),
            rstd: to(self.rstd),
            y: to(self.y),
            eps,
            momentum,
            workspace: to(self.workspace),
        }
    }
}
