//! The intermediate representation: types, operators, the graph.

pub mod graph;
pub mod op;
pub mod types;
