//! In which way a step is computed, and what the cost model expected of it.

/// Instructions of their own that an algorithm multiplies with: their speed is its ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiplier {
    /// What they are called.
    pub instructions: &'static str,
    /// How many of their products make a product of the step.
    pub products: usize,
}

impl Multiplier {
    /// Intel's matrix unit, of bf16.
    pub const AMX: Self = Multiplier { instructions: "AMX", products: 1 };
    /// Vectors of pairs of bf16 (AVX512-BF16).
    pub const VDPBF16PS: Self = Multiplier { instructions: "VDPBF16PS", products: 1 };
}

/// What a device expects one way of computing a step to cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Parts of the work, in cycles of a thread by the device's cost model; they count against each other, not against
    /// a clock.
    pub parts: Vec<(&'static str, f64)>,
}

impl Estimate {
    /// All parts together.
    pub fn cycles(&self) -> f64 {
        self.parts.iter().map(|(_, cycles)| cycles).sum()
    }
}

/// The way in which a device computes a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Which one of many that have this name: an engine of cuDNN with its settings.
    pub variant: Option<String>,
    /// What it multiplies with; nothing for the device's usual arithmetic.
    pub multiplier: Option<Multiplier>,
    /// Whether it was chosen because it was measured to be the fastest.
    pub measured: bool,
    /// Of every algorithm that applies; the one with the lowest was chosen if none was measured.
    pub estimates: Vec<Estimate>,
}
