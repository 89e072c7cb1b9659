//! The `train:` section: how a network is trained.

mod augment;
mod average;
mod choice;
mod config;
pub mod distill;
pub(crate) mod effect;
pub mod groups;
mod keys;
mod loss;
mod optimizers;
mod parallel;
mod patience;
mod resizing;
mod schedule;
mod section;
pub mod tta;

pub(crate) use augment::SMALL;
pub use average::{Ema, Swa};
pub use config::{Augment, Keep, Mix, Normalize, Reading, TrainConfig};
pub use distill::Distill;
pub use effect::schedule::beyond_the_end;
pub use keys::TRAIN;
pub use parallel::{Parallel, ScaleLr};
pub use patience::{EarlyStopping, Metric, Plateau};
pub use resizing::Resizing;
pub use schedule::{By, Schedule, Warmup};
pub(crate) use section::{per_channel, read};
pub use tta::Tta;
