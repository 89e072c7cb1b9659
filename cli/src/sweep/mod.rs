//! Trainings that differ in some settings: which there are, which go on, and what came of them. Nothing here trains or prints.

mod file;
mod grid;
mod halving;
mod row;
mod short;
mod summary;

pub use file::{Definition, FILE, SweepFile, TABLE};
pub use grid::{Grid, combinations, joined};
pub use halving::{Score, rounds, survivors};
pub use row::{Row, State};
pub use short::{key, short};
pub use summary::{Point, Spread, points};
