//! The factor of the loss in training with half precision, whose small numbers a gradient's would fall below (Micikevicius et
//! al. 2018, Mixed Precision Training): gradients are computed of the scaled loss, and updates divide by the scale.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the scale comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossScale {
    /// It follows the gradients: as large as they stay finite with.
    Dynamic(DynamicScale),
    /// It never changes.
    Static(f32),
}

/// How the scale follows, as PyTorch's `GradScaler`: a step whose gradients are not all finite is left out, and the scale shrinks;
/// after enough steps in a row that were not left out it grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DynamicScale {
    /// The first scale.
    pub start: f32,
    /// Factor of the scale after `interval` good steps in a row. A scale that would be no finite number any more stays.
    pub growth: f32,
    /// Factor of the scale after a step that was left out.
    pub backoff: f32,
    /// Good steps until the scale grows.
    pub interval: u32,
}

impl DynamicScale {
    /// The constants that `GradScaler` has by default.
    pub const DEFAULT: DynamicScale =
        DynamicScale { start: 65536.0, growth: 2.0, backoff: 0.5, interval: 2000 };
}

impl LossScale {
    /// The scale of the first step.
    pub fn start(&self) -> f32 {
        match self {
            LossScale::Dynamic(dynamic) => dynamic.start,
            LossScale::Static(scale) => *scale,
        }
    }

    /// How it changes, if it does.
    pub fn dynamic(&self) -> Option<DynamicScale> {
        match self {
            LossScale::Dynamic(dynamic) => Some(*dynamic),
            LossScale::Static(_) => None,
        }
    }

    /// Whether it is what holds where a spec says nothing.
    pub fn is_default(&self) -> bool {
        *self == LossScale::default()
    }
}

impl Default for LossScale {
    fn default() -> Self {
        LossScale::Dynamic(DynamicScale::DEFAULT)
    }
}

/// As specs spell it: `dynamic`, or a number.
impl fmt::Display for LossScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossScale::Dynamic(_) => f.write_str("dynamic"),
            LossScale::Static(scale) => write!(f, "{scale}"),
        }
    }
}

/// `growth 2 every 2000, backoff 0.5`
impl fmt::Display for DynamicScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DynamicScale { growth, backoff, interval, .. } = self;
        write!(f, "growth {growth} every {interval}, backoff {backoff}")
    }
}
