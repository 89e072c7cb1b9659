//! The intermediate representation: types, operators, the graph, how it is changed, checked and shown.

pub mod activation;
pub mod attrs;
pub mod clip;
pub mod dot;
pub mod erf;
pub mod graph;
pub mod groups;
pub mod init;
pub mod loss_scale;
pub mod objective;
pub mod op;
pub mod origin;
pub mod patch;
pub mod persistent;
pub mod print;
pub mod ranks;
pub mod recompute;
pub mod step_kind;
pub mod types;
pub mod update;
