//! Orthogonalised momentum.

use super::adamw::AdamWAttrs;
use super::rule::{Kind, Rule, constants};

constants! {
    /// Constants of Muon (Jordan et al. 2024), as Jordan's `MuonWithAuxAdam`, with the scale of the flattened filter, as timm's `Muon` and
    /// PyTorch's `Muon` with `adjust_lr_fn="original"` have it:
    /// `m = momentum * m + (1 - momentum) * g`; `u = nesterov ? (1 - momentum) * g + momentum * m : m`;
    /// `p -= lr * weight_decay * p; p -= lr * sqrt(max(1, rows / cols)) * orthogonal(u)`, where `u` is a matrix of
    /// `out` rows and `in * kh * kw` columns, and `orthogonal` makes all its singular values about 1 ([`NEWTON_SCHULZ`]).
    ///
    /// It is for filters within the network. All other parameters take AdamW with the constants that begin with `adamw`.
    MuonAttrs {
        momentum: f32 = "0.95", Kind::Number(0.0, 0.999_999), false, "Decay of the mean gradient.";
        nesterov: bool = "true", Kind::Flag, false, "Whether momentum is Nesterov's.";
        weight_decay: f32 = "0", Kind::Number(0.0, 1e3), false,
            "Share of the parameter that a step takes off, times its learning rate; AdamW's, too.";
        adamw_lr: f32 = "3e-4", Kind::Number(0.0, 1e6), false,
            "Learning rate of what takes AdamW, before the schedule.";
        adamw_beta1: f32 = "0.9", Kind::Number(0.0, 0.999_999), false, "Decay of AdamW's mean gradient.";
        adamw_beta2: f32 = "0.95", Kind::Number(0.0, 0.999_999), false,
            "Decay of AdamW's mean squared gradient.";
        adamw_eps: f32 = "1e-10", Kind::Number(0.0, 1.0), false, "Added to the root of AdamW's mean square.";
    }
}

/// Steps of the iteration that makes a matrix orthogonal.
pub const NEWTON_SCHULZ_STEPS: usize = 5;

/// The iteration's quintic `a * x + b * x^3 + c * x^5`, which a step applies to each singular value: of matrices
/// `x = a * x + (b * (x x^T) + c * (x x^T)^2) x`. It does not converge to 1, but takes what is not tiny to between 0.7 and 1.2 in
/// [`NEWTON_SCHULZ_STEPS`]. The matrix is divided by its Frobenius norm, plus [`NEWTON_SCHULZ_EPS`], before the first.
pub const NEWTON_SCHULZ: [f32; 3] = [3.4445, -4.775, 2.0315];

/// Added to the norm that the matrix is divided by.
pub const NEWTON_SCHULZ_EPS: f32 = 1e-7;

impl Rule for MuonAttrs {
    const NAME: &'static str = "muon";
    const QUOTED: &'static str = "`muon`";
    const KERNEL: &'static str = "muon_update";
    const ABOUT: &'static str = "Momentum made orthogonal for the filters of convolutions within the network, AdamW for the first convolution, the head, normalisations and all else (Muon, Jordan et al. 2024), as Jordan's `MuonWithAuxAdam`.";
    const RATE: &'static str = "0.02";
    const STATE: &'static [&'static str] = &["momentum_buffer"];
    /// Mean: 3; Nesterov's: 3; norm and quotient: 3; decay and step: 3. The products come on top.
    const FLOPS: u64 = 12;

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn with_weight_decay(self, weight_decay: f32) -> Self {
        MuonAttrs { weight_decay, ..self }
    }

    fn per_tensor(&self) -> bool {
        true
    }

    /// `rows * cols` elements are `2 * small^2 * large` operations in each of two products, and `2 * small^3` in a third.
    fn product_flops(&self, [rows, cols]: [usize; 2]) -> u64 {
        let (small, large) = (rows.min(cols) as u64, rows.max(cols) as u64);
        NEWTON_SCHULZ_STEPS as u64 * 2 * small * small * (2 * large + small)
    }
}

impl MuonAttrs {
    /// What the other parameters take.
    pub fn adamw(&self) -> AdamWAttrs {
        let MuonAttrs { weight_decay, adamw_beta1, adamw_beta2, adamw_eps, .. } = *self;
        AdamWAttrs { beta1: adamw_beta1, beta2: adamw_beta2, eps: adamw_eps, weight_decay }
    }
}

/// How the elements of a filter lie in memory: row-major, the filter's outputs along the rows or along the columns. The other side is all
/// else, in whatever order the layout has. An order of columns is a product with a permutation `q`, and `orthogonal(u q)` is
/// `orthogonal(u) q`; that of a transposed matrix is the transposed one. So the step is the same in each layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Matrix {
    /// Rows in memory.
    pub rows: usize,
    /// Columns in memory.
    pub cols: usize,
    /// Whether a row is an output, and not a column.
    pub outputs_are_rows: bool,
}

impl Matrix {
    /// The factor of a step: `sqrt(max(1, out / (in * kh * kw)))`.
    pub fn scale(&self) -> f64 {
        let (out, rest) = if self.outputs_are_rows { (self.rows, self.cols) } else { (self.cols, self.rows) };
        (out as f64 / rest.max(1) as f64).max(1.0).sqrt()
    }

    /// The longer and the shorter side.
    pub fn sides(&self) -> [usize; 2] {
        [self.rows.max(self.cols), self.rows.min(self.cols)]
    }

    /// Whether rows are fewer than columns.
    pub fn is_wide(&self) -> bool {
        self.rows < self.cols
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_outputs_than_inputs_make_longer_steps() {
        let matrix = |rows, cols, outputs_are_rows| Matrix { rows, cols, outputs_are_rows };
        assert_eq!(matrix(36, 4, true).scale(), 3.0);
        assert_eq!(matrix(36, 4, false).scale(), 1.0);
        assert_eq!(matrix(4, 36, false).scale(), 3.0);
        assert_eq!(matrix(4, 36, true).sides(), [36, 4]);
    }
}
