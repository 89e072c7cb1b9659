//! The `train:` section: how a network is trained.

mod augment;
mod config;
pub mod effect;
mod keys;
mod loss;
mod section;

pub use config::{Augment, By, Keep, Mix, Normalize, Schedule, TrainConfig, Warmup};
pub use keys::TRAIN;
pub(crate) use section::{per_channel, read};
