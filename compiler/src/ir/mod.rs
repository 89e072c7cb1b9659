//! The intermediate representation: types, operators, the graph, how it is changed, checked and shown.

mod activation;
pub mod dot;
pub mod graph;
mod init;
pub mod op;
pub mod patch;
mod persistent;
pub mod print;
pub mod types;
pub mod verify;
