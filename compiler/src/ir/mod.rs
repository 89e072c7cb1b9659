//! The intermediate representation: types, operators, the graph, how it is changed, checked and shown.

pub mod dot;
pub mod graph;
pub mod op;
pub mod patch;
pub mod print;
pub mod types;
pub mod verify;
