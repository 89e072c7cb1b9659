//! Distributions that shares of mixtures are drawn from. Of small parameters the variates are tiny: their logarithms are not.

use super::rng::Stream;

/// From Beta(alpha, alpha), as `x / (x + y)` of two gamma variates.
pub(super) fn beta(stream: &mut Stream, alpha: f32) -> f64 {
    let (x, y) = (log_gamma(stream, alpha), log_gamma(stream, alpha));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a variate of Gamma(alpha, 1): one of Gamma(alpha + 1, 1) times a uniform one to the power of `1 / alpha`.
pub(super) fn log_gamma(stream: &mut Stream, alpha: f32) -> f64 {
    let alpha = f64::from(alpha);
    log_large_gamma(stream, alpha + 1.0) + positive(stream).ln() / alpha
}

/// Uniform in `(0, 1]`.
fn positive(stream: &mut Stream) -> f64 {
    1.0 - f64::from(stream.unit())
}

/// The same for a shape of at least 1 (Marsaglia and Tsang 2000).
fn log_large_gamma(stream: &mut Stream, shape: f64) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        // Box and Muller's normal variate.
        let x = (-2.0 * positive(stream).ln()).sqrt() * f64::from(stream.direction()[0]);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && positive(stream).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Purpose;

    /// Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        for alpha in [0.001f32, 0.2, 1.0, 3.0] {
            let mut stream = Stream::new(5, Purpose::Mix, 0, 0);
            let shares: Vec<f64> = (0..20_000).map(|_| beta(&mut stream, alpha)).collect();
            let mean = shares.iter().sum::<f64>() / 2e4;
            let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 2e4;
            let expected = 1.0 / (4.0 * (2.0 * f64::from(alpha) + 1.0));
            // Four standard deviations of the mean, and of the variance at most.
            assert!((mean - 0.5).abs() < 4.0 * (expected / 2e4).sqrt(), "{alpha}: {mean}");
            assert!(
                (variance - expected).abs() < 4.0 * expected * (2.0f64 / 2e4).sqrt(),
                "{alpha}: {variance}"
            );
        }
    }
}
