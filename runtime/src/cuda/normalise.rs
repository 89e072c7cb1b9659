//! Normalisations in training that a driver computes at once, statistics and all: as they are asked for, and as they are called.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::types::DType;
use serde::{Deserialize, Serialize};

/// A batch normalisation to be prepared, or its gradient. Maps are packed, all of one element type; the rest is `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormTask {
    /// What is computed.
    pub pattern: NormPattern,
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPattern {
    /// `y = act((x - mean) * rstd * scale + shift + residual)` by the statistics of `x`. Mean and `rstd = 1 / sqrt(variance + eps)` are
    /// stored; `running_mean` and `running_var` take in the mean and the unbiased variance with the weight `momentum`, in place.
    NormForward {
        /// Whether a map is added.
        residual: bool,
        /// Applied last.
        act: Option<Activation>,
    },
    /// `dx`, `dscale` and `dshift` of `dy`, `x`, `mean`, `rstd` and `scale`.
    NormBackward {
        /// Whether a ReLU stands behind it, by whose sign `dy` is masked: that of what is computed anew from `x`, with `shift`.
        relu: bool,
    },
}

impl NormPattern {
    /// `norm + residual + relu`
    pub fn text(&self) -> String {
        match *self {
            NormPattern::NormForward { residual, act } => {
                let act = act.map(|act| act.info().name);
                let parts = [residual.then_some("residual"), act];
                parts.into_iter().flatten().fold("norm".to_owned(), |text, part| format!("{text} + {part}"))
            }
            NormPattern::NormBackward { relu: false } => "norm backward".to_owned(),
            NormPattern::NormBackward { relu: true } => "norm backward + drelu".to_owned(),
        }
    }
}

/// `norm + relu bf16 32x8`
impl std::fmt::Display for NormTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}x{}", self.pattern.text(), self.element, self.rows, self.channels)
    }
}

/// A prepared normalisation with its operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalise<A> {
    /// The driver's number for it.
    pub id: usize,
    /// By their names.
    pub operands: Vec<(&'static str, A)>,
    /// Likewise: `eps` and `momentum` of a normalisation, none of a gradient.
    pub numbers: Vec<(&'static str, f32)>,
    /// As many bytes as it needs beside its operands.
    pub workspace: A,
}

impl<A: Copy> Normalise<A> {
    /// The same at other places.
    pub fn map<B>(&self, to: impl Fn(A) -> B) -> Normalise<B> {
        let operands = self.operands.iter().map(|&(name, operand)| (name, to(operand))).collect();
        Normalise { id: self.id, operands, numbers: self.numbers.clone(), workspace: to(self.workspace) }
    }
}
