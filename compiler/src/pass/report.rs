//! What passes are asked to keep, and what they say.

use super::id::PassId;
use crate::ir::graph::Stage;
use crate::ir::patch::Note;

/// After which passes the graph is printed into its [`PassReport`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dump {
    /// None.
    #[default]
    Never,
    /// Every one.
    All,
    /// Each run of that one.
    After(PassId),
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq)]
pub struct PassReport {
    /// Which pass.
    pub pass: PassId,
    /// Stage of the graph after it.
    pub stage: Stage,
    /// Places where it changed something.
    pub fired: usize,
    /// What it did, and why it did not do the rest.
    pub notes: Vec<Note>,
    /// Operators after it.
    pub nodes: usize,
    /// The graph's text, where asked for.
    pub dump: Option<String>,
}
