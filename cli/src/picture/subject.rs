//! What is drawn, and how much of it.

use clap::ValueEnum;
use resnetc_compiler::ir::graph::{Graph, Mode};
use resnetc_compiler::report::Summary;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::ResolvedSpec;

/// How much of a picture is drawn once for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fold {
    /// Every unit.
    None,
    /// Neighbouring units of a stage that are the same: one, with their number.
    Units,
    /// A box for each stage.
    Stages,
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// After the last pass.
    pub graph: &'a Graph,
    /// The figures.
    pub summary: &'a Summary,
    /// Where the stages stand.
    pub spec: &'a ResolvedSpec,
    /// The texts that nodes came from.
    pub sources: &'a SourceMap,
}

impl Subject<'_> {
    /// What the network was compiled for.
    pub fn purpose(&self) -> &'static str {
        match self.graph.mode {
            Mode::Infer => "inference",
            Mode::Train => "training step",
        }
    }
}
