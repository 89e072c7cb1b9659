//! What a device can do at most, which steps of a plan are judged by (Williams et al. 2009, "Roofline").

pub use resnetc_kernels::choice::Multiplier;

/// Ceilings of arithmetic. Multiply-adds count as two operations, in 10^9 per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// Of vectors in `f32`, on a CPU; of products in the plan's type, on a GPU.
    pub gflops: f64,
    /// How that was measured: `in registers`.
    pub how: &'static str,
    /// Of instructions of their own, where such are used, in bf16.
    pub bf16: Option<Ceiling>,
}

/// What some instructions do at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// As [`Multiplier::instructions`] has them.
    pub instructions: &'static str,
    /// 10^9 operations per second.
    pub gflops: f64,
}

impl Arithmetic {
    /// Operations of a step that is multiplied so, in 10^9 per second at most.
    pub fn ceiling(&self, multiplier: Option<Multiplier>) -> f64 {
        let of = |multiplier: Multiplier| {
            let ceiling = self.bf16.filter(|ceiling| ceiling.instructions == multiplier.instructions)?;
            Some(ceiling.gflops / multiplier.products as f64)
        };
        multiplier.and_then(of).unwrap_or(self.gflops)
    }
}

/// Ceilings of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofline {
    /// Of products.
    pub arithmetic: Arithmetic,
    /// Bytes read and written far beyond any cache, in 10^9 per second.
    pub gb_s: f64,
}
