//! What the folders of trainings tell: the one reader of them, for reports, lists, comparisons and sweeps.

mod find;
mod folder;

pub use find::{Broken, find};
pub use folder::{Figures, Run, State, accuracies, epochs, losses, median, seconds, spec};
