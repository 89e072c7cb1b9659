//! A spec with all defaults applied: what the compiler compiles.

use super::language::tree::Call;
use super::limits::Limits;
use super::sections::expect::Expect;
use super::sections::init::InitSpec;
use super::sections::layers::Head;
use super::sections::preprocess::Preprocess;
use super::sections::shortcut::Shortcuts;
use super::sections::stages::StageSpec;
use super::sections::sweep::Sweep;
use super::sections::train::TrainConfig;
use super::yaml::keys::KeySpans;
use crate::diagnostic::Diagnostic;
use crate::ir::op::Norm;
use crate::source::Spanned;

/// A spec with all defaults applied.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedSpec {
    /// The network's name.
    pub name: Spanned<String>,
    /// One image, `[channels, height, width]`.
    pub input: Spanned<[usize; 3]>,
    /// Number of classes.
    pub classes: Spanned<usize>,
    /// Layers before the stages.
    pub stem: Vec<Call>,
    /// At least one.
    pub stages: Vec<StageSpec>,
    /// What `bn` without arguments stands for, and what normalises projections.
    pub norm: Norm,
    /// What `shortcut` means in units.
    pub shortcut: Shortcuts,
    /// Layers between one stage and the next; may be none.
    pub transition: Vec<Call>,
    /// What follows the stages.
    pub head: Head,
    /// Numbers of stages whose results are results of the network, beside the logits.
    pub outputs: Vec<Spanned<usize>>,
    /// Initial values of the parameters.
    pub init: InitSpec,
    /// Figures that the network must have.
    pub expect: Expect,
    /// What becomes of a picture before the network sees it.
    pub preprocess: Preprocess,
    /// How it is trained.
    pub train: TrainConfig,
    /// What it is trained over, where it is more than once.
    pub sweep: Option<Sweep>,
    /// How large the network may become.
    pub limits: Limits,
    /// Warnings: what compiles, but is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Where each key was written.
    pub keys: KeySpans,
}

impl ResolvedSpec {
    /// Whether a result depends on a stage, by its number from 1: without a head the last output is the last that counts.
    pub fn reaches_result(&self, stage: usize) -> bool {
        self.head.layers.is_some() || self.outputs.iter().any(|output| output.value >= stage)
    }
}
