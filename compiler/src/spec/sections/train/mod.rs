//! The `train:` section: how a network is trained.

mod choice;
mod config;
pub(crate) mod effect;
mod keys;
mod patience;
mod schedule;
mod section;

pub use config::{Augment, Keep, Normalize, Reading, TrainConfig};
pub use effect::schedule::beyond_the_end;
pub(crate) use keys::SMALL;
pub use keys::TRAIN;
pub use patience::{EarlyStopping, Metric, Plateau};
pub use schedule::{By, Schedule, Warmup};
pub(crate) use section::{per_channel, read};
