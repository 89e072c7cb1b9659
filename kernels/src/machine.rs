//! What the cost models know of the machine: a description, nothing that is measured here.

use resnetc_compiler::ir::types::DType;

use super::simd::Isa;

/// What the cost models estimate for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Its instructions.
    pub isa: Isa,
    /// Threads that share a step.
    pub threads: usize,
    /// How many times as long as the models' constants say AMX's products take, beside vectors, if that was
    /// measured.
    pub amx_slowness: Option<f64>,
}

/// What is taken for [`Machine::amx_slowness`] in `f32` where it was not measured. Where AMX is at its best it gains little
/// there, while others that use it slow it down to a quarter: ResNet-50's training step takes 751 ms on it at best and 781
/// without, but 1,033 and 899 as a rule on a machine that is shared (`benches/NOTES.md`).
const ASSUMED_AMX_SLOWNESS: f64 = 2.0;

impl Machine {
    /// How many times as long as the models' constants say AMX's products of such factors take.
    pub fn amx_slowness(self, factors: DType) -> f64 {
        self.amx_slowness.unwrap_or(if factors == DType::F32 { ASSUMED_AMX_SLOWNESS } else { 1.0 })
    }
}
