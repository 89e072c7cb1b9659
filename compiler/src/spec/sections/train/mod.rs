//! The `train:` section: how a network is trained.

mod config;
pub mod effect;
pub mod groups;
mod keys;
mod optimizers;
mod section;

pub use config::{Augment, By, Keep, Normalize, Schedule, TrainConfig, Warmup};
pub use keys::TRAIN;
pub(crate) use section::{per_channel, read};
