//! Distributions of parameters' first values.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Distribution of a parameter's first values, with all fans already put in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// All the same.
    Constant(f32),
    /// Mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Mean 0, values beyond two standard deviations drawn again.
    TruncatedNormal {
        /// Standard deviation before truncation.
        std: f32,
    },
    /// From `-bound..bound`.
    Uniform {
        /// Half the width.
        bound: f32,
    },
}

/// Distribution of convolution weights, before fans are known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvInit {
    /// He et al. 2015: normal with variance `2 / fan`.
    HeNormal {
        /// Which fan.
        fan: Fan,
    },
    /// Uniform with that variance.
    HeUniform {
        /// Which fan.
        fan: Fan,
    },
    /// Glorot and Bengio 2010: normal with variance `2 / (fan_in + fan_out)`.
    XavierNormal,
    /// Uniform with that variance.
    XavierUniform,
    /// Uniform in `+-gain / sqrt(fan)` (PyTorch's default for linear layers with gain 1, fan in).
    UniformFan {
        /// Which fan.
        fan: Fan,
        /// Numerator.
        gain: f32,
    },
    /// No fan in it.
    Fixed(Init),
}

impl ConvInit {
    /// The distribution for a weight with these fans. A uniform distribution of variance `v` has the bound `sqrt(3 v)`.
    pub fn resolve(self, fan_in: usize, fan_out: usize) -> Init {
        let of = |fan| match fan {
            Fan::FanIn => fan_in as f64,
            Fan::FanOut => fan_out as f64,
        };
        let normal = |variance: f64| Init::Normal { std: variance.sqrt() as f32 };
        let uniform = |variance: f64| Init::Uniform { bound: (3.0 * variance).sqrt() as f32 };
        match self {
            ConvInit::HeNormal { fan } => normal(2.0 / of(fan)),
            ConvInit::HeUniform { fan } => uniform(2.0 / of(fan)),
            ConvInit::XavierNormal => normal(2.0 / (fan_in + fan_out) as f64),
            ConvInit::XavierUniform => uniform(2.0 / (fan_in + fan_out) as f64),
            ConvInit::UniformFan { fan, gain } => {
                Init::Uniform { bound: (f64::from(gain) / of(fan).sqrt()) as f32 }
            }
            ConvInit::Fixed(init) => init,
        }
    }
}

/// Products of a weight's sizes: `fan_in = cin / groups * kh * kw`, `fan_out = cout * kh * kw`. As in PyTorch, groups do not
/// divide the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fan {
    /// Inputs of one output.
    FanIn,
    /// Outputs of one input.
    FanOut,
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Constant(value) => write!(f, "constant({value})"),
            Init::Normal { std } => write!(f, "normal({std})"),
            Init::TruncatedNormal { std } => write!(f, "truncated_normal({std})"),
            Init::Uniform { bound } => write!(f, "uniform({bound})"),
        }
    }
}
