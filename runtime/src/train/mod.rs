//! The training loop: epochs of steps, evaluation, checkpoints.
//!
//! Everything a step does follows from `(seed, epoch, step)` and the weights, so a training that was interrupted goes on
//! from its checkpoint as if it had never stopped.

mod average;
mod batches;
mod epoch;
mod eval;
mod event;
mod fit;
mod folder;
mod health;
mod local_sgd;
mod lock;
mod material;
mod pass;
mod range;
mod records;
mod save;
mod teacher;
mod team;
mod trainer;
mod updates;

pub use self::batches::BatchExecutor;
pub use self::eval::Evaluator;
pub use self::event::{Event, Outcome, StepEvent};
pub use self::folder::{
    BEST, CONFUSION, EVENTS, LAST, LOG, METRICS, PREDICTIONS, REPORT, RUN, SPEC, Start,
    check as check_folder, engines_of, epoch_file, progress_of,
};
pub use self::lock::{Lock as FolderLock, is_held};
pub use self::range::{Range, RangeOptions, RangeStep, Recommended, range_test, recommended};
pub use self::records::{About, Facts, Git, MetricsLine, RunFile, StartedBy, predictions};
pub use self::teacher::{Pupil, Teacher};
pub use self::trainer::{Options, Trainer};

#[cfg(test)]
pub(crate) mod tests;
