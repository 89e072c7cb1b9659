//! The `train:` section: how a network is trained.

mod config;
pub(crate) mod section;

pub use config::{Augment, By, Normalize, Schedule, TrainConfig, Warmup};
pub use section::TRAIN;
