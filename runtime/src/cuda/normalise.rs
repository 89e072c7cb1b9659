//! Normalisations in training that a driver computes at once, statistics and all: as they are asked for, and as they are called.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::types::DType;

/// A batch normalisation to be prepared, or its gradient. Maps are packed, all of one element type; the rest is `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormTask {
    /// What is computed.
    pub pass: NormPass,
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Of maps.
    pub element: DType,
    /// Whether the same operands have to give the same bits each time.
    pub deterministic: bool,
}

/// What is computed, with the names of its operands, which are those of the plan's kernels. None lies in another's place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormPass {
    /// `y = act((x - mean) * rstd * scale + shift + residual)` by the statistics of `x`. Mean and `rstd = 1 / sqrt(variance + eps)` are
    /// stored; `running_mean` and `running_var` take in the mean and the unbiased variance, in place.
    Forward {
        /// Whether a map is added.
        residual: bool,
        /// Applied last.
        act: Option<Activation>,
        /// Added to the variance.
        eps: f32,
        /// Weight of the batch in the running statistics.
        momentum: f32,
    },
    /// `dx`, `dscale` and `dshift` of `dy`, `x`, `mean`, `rstd` and `scale`.
    Backward {
        /// Whether a ReLU stands behind it, by whose sign `dy` is masked: that of what is computed anew from `x`, with `shift`.
        relu: bool,
    },
}

/// `norm + relu bf16 32x8`
impl std::fmt::Display for NormTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pass {
            NormPass::Forward { residual, act, .. } => {
                f.write_str("norm")?;
                let parts = [residual.then_some("residual"), act.map(|act| act.info().name)];
                parts.into_iter().flatten().try_for_each(|part| write!(f, " + {part}"))?;
            }
            NormPass::Backward { relu } => {
                f.write_str(if relu { "norm backward + drelu" } else { "norm backward" })?
            }
        }
        write!(f, " {} {}x{}", self.element, self.rows, self.channels)
    }
}

/// A prepared normalisation with its operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalise<A> {
    /// The driver's number for it.
    pub id: usize,
    /// By their names.
    pub operands: Vec<(&'static str, A)>,
    /// As many bytes as it needs beside its operands.
    pub workspace: A,
}

impl<A: Copy> Normalise<A> {
    /// The same at other places.
    pub fn map<B>(&self, to: impl Fn(A) -> B) -> Normalise<B> {
        let operands = self.operands.iter().map(|&(name, operand)| (name, to(operand))).collect();
        Normalise { id: self.id, operands, workspace: to(self.workspace) }
    }
}
