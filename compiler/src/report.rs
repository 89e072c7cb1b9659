//! What a compilation tells about itself: the table per unit, the totals, what each pass did and why.

use serde::Serialize;

use crate::backend::Backend;
use crate::ir::graph::{Graph, Mode};
use crate::ir::origin::Part;
use crate::ir::recompute::Recompute;
use crate::ir::step_kind::StepKind;
use crate::plan::Plan;

pub use crate::pass::report::{Dump, PassReport};

/// What to compile for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Inference or training.
    pub mode: Mode,
    /// Images per run.
    pub batch: usize,
    /// What the plan is run on.
    pub backend: Backend,
    /// What a training step is for.
    pub step: StepKind,
    /// Processes that share a training: 1 where it has all images for itself.
    pub ranks: usize,
    /// After which passes to keep the graph's text.
    pub dump: Dump,
}

impl Target {
    /// For the CPU, without dumps.
    pub fn new(mode: Mode, batch: usize) -> Self {
        Target { mode, batch, backend: Backend::CPU, step: StepKind::Update, ranks: 1, dump: Dump::Never }
    }
}

/// Result of a compilation.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The graph after the last pass.
    pub graph: Graph,
    /// What to run.
    pub plan: Plan,
    /// The table and the totals.
    pub summary: Summary,
    /// One per pass, in order.
    pub passes: Vec<PassReport>,
    /// What the backward pass computes again, for the spec's `memory_limit`.
    pub recompute: Recompute,
}

/// A network before anything is done to run it: every layer of the spec is a node, every shortcut is decided.
#[derive(Debug, Clone)]
pub struct Network {
    /// In the stage `Expanded`.
    pub graph: Graph,
    /// The table and the totals, without those of the plan.
    pub summary: Summary,
    /// One per pass, in order.
    pub passes: Vec<PassReport>,
}

/// The network in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the network.
    pub name: String,
    /// Trained parameters.
    pub params: u64,
    /// Multiply-accumulates of convolutions and linear layers, for one image, forward.
    pub macs: u64,
    /// Of the logits, with the batch.
    pub output_shape: Vec<usize>,
    /// Stem, every unit, head.
    pub units: Vec<UnitRow>,
    /// Kernels if every operator of the forward (in training: forward, backward, update) graph were one.
    pub kernels_before: usize,
    /// Steps of the plan.
    pub kernels: usize,
    /// Peak of the arena.
    pub arena_bytes: usize,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitRow {
    /// `stem`, `stage1.unit0`, ..., `head`.
    pub name: String,
    /// The same as a part of the network.
    #[serde(skip)]
    pub part: Part,
    /// Name of the unit in the spec; `stem`, `head`.
    pub kind: String,
    /// Of its result, without the batch.
    pub output_shape: Vec<usize>,
    /// Trained parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// What the shortcut became and why: `identity: the shapes agree`, `projection: 64 -> 256 channels, stride 2, rule B`,
    /// `avgpool -> conv -> bn: 256 -> 512 channels, stride 2`.
    pub shortcut: Option<String>,
}
