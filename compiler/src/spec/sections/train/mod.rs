//! The `train:` section: how a network is trained.

mod config;
pub mod effect;
mod keys;
mod section;

pub use config::{Augment, By, Keep, Normalize, Reading, Schedule, TrainConfig, Warmup};
pub(crate) use keys::SMALL;
pub use keys::TRAIN;
pub(crate) use section::{per_channel, read};
