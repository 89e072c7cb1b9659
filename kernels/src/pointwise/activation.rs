//! Activations of vectors, forward and backward, and the exponential under them.

use resnetc_compiler::ir::op::Activation;

use crate::simd::Vector;

/// `act(v)`; a NaN stays one.
#[inline(always)]
pub(crate) fn forward<V: Vector>(act: Option<Activation>, v: V) -> V {
    match act {
        None => v,
        Some(Activation::Relu) => v.simd().zero().max(v),
        Some(Activation::LeakyRelu { slope }) => v.if_positive(v, v.mul(v.simd().splat(slope))),
        Some(Activation::Sigmoid) => per_lane(v, sigmoid),
        Some(Activation::Tanh) => per_lane(v, tanh),
        Some(Activation::Silu) => per_lane(v, |x| x * sigmoid(x)),
        Some(Activation::Gelu) => per_lane(v, |x| x * normal(x).0),
        Some(Activation::Relu6) => per_lane(v, |x| between(x, 6.0)),
        Some(Activation::HardSigmoid) => per_lane(v, |x| between(x + 3.0, 6.0) / 6.0),
        Some(Activation::HardSwish) => per_lane(v, |x| x * (between(x + 3.0, 6.0) / 6.0)),
        Some(Activation::Mish) => per_lane(v, |x| x * mish(x).0),
    }
}

/// What results are raised to before they are stored: 0 under relu, which is all that costs nothing inside a tile.
pub(crate) fn floor(act: Option<Activation>) -> f32 {
    if act == Some(Activation::Relu) { 0.0 } else { f32::NEG_INFINITY }
}

/// The activation that is applied to a tile once it is stored. Their code is long: in the tile it would stand once per
/// scalar and tile size, which made up most of this crate's machine code and of the time to compile it.
pub(crate) fn late(act: Option<Activation>) -> Option<Activation> {
    act.filter(|&act| act != Activation::Relu)
}

/// `dy` times the derivative of the activation whose result (or input: see [`Activation::grad_from`]) is `y`.
#[inline(always)]
pub(crate) fn backward<V: Vector>(act: Activation, dy: V, y: V) -> V {
    let simd = y.simd();
    match act {
        Activation::Relu => y.if_positive(dy, simd.zero()),
        Activation::LeakyRelu { slope } => y.if_positive(dy, dy.mul(simd.splat(slope))),
        Activation::Sigmoid => dy.mul(y.mul(simd.splat(1.0).sub(y))),
        // `1 - y^2` without the cancellation where `y` is close to 1.
        Activation::Tanh => dy.mul(simd.splat(1.0).sub(y).mul(simd.splat(1.0).add(y))),
        Activation::Silu => dy.mul(per_lane(y, |x| {
            let s = sigmoid(x);
            s + s * (1.0 - s) * x
        })),
        Activation::Gelu => dy.mul(per_lane(y, |x| {
            let (below, density) = normal(x);
            below + x * density
        })),
        Activation::Relu6 => dy.mul(per_lane(y, |y| inside(y, 0.0, 6.0))),
        Activation::HardSigmoid => dy.mul(per_lane(y, |y| inside(y, 0.0, 1.0) / 6.0)),
        Activation::HardSwish => dy.mul(per_lane(y, |x| {
            inside(x, -3.0, 3.0) * (2.0 * x + 3.0) / 6.0 + if x >= 3.0 { 1.0 } else { 0.0 }
        })),
        Activation::Mish => dy.mul(per_lane(y, |x| {
            let (t, s) = mish(x);
            t + x * (1.0 - t * t) * s
        })),
    }
}

/// Applies branchless scalar code to each lane; the compiler makes vectors of it.
#[inline(always)]
fn per_lane<V: Vector>(v: V, f: impl Fn(f32) -> f32) -> V {
    let mut lanes = v.lanes();
    for lane in &mut lanes[..V::LANES] {
        *lane = f(*lane);
    }
    v.simd().from_lanes(&lanes)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Within 3e-7.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

/// `min(max(x, 0), top)`; a NaN stays one.
#[inline(always)]
fn between(x: f32, top: f32) -> f32 {
    let raised = if x <= 0.0 { 0.0 } else { x };
    if raised >= top { top } else { raised }
}

/// 1 between the bounds, 0 at them and beyond.
#[inline(always)]
fn inside(x: f32, low: f32, high: f32) -> f32 {
    if x > low && x < high { 1.0 } else { 0.0 }
}

/// `tanh(log(1 + e^x))` and `sigmoid(x)`. With `e = e^x` the first is `(e^2 + 2 e) / (e^2 + 2 e + 2)`, 1 from where `e^2` would
/// overflow.
#[inline(always)]
fn mish(x: f32) -> (f32, f32) {
    let e = exp(if x > 20.0 { 20.0 } else { x });
    let n = e * (e + 2.0);
    (n / (n + 2.0), sigmoid(x))
}

/// The standard normal distribution: the probability of what is below `x`, `(1 + erf(x / sqrt(2))) / 2`, within 3e-7, and
/// the density at `x`.
///
/// The error function by formula 7.1.26 of Abramowitz and Stegun (Handbook of Mathematical Functions, 1964), whose own
/// error is 1.5e-7. It gives `erfc`, so the far negative tail does not cancel.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const TERMS: [f32; 4] = [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let gauss = exp(-z * z);
    let series = TERMS.iter().fold(1.061_405_4, |sum, term| sum * t + term);
    let tail = 0.5 * series * t * gauss;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    // 1 / sqrt(2 * pi)
    (below, 0.398_942_3 * gauss)
}

/// `e^x` within 2 units in the last place where the result is normal; 0 below, infinity above, NaN of NaN.
///
/// Without branches or calls, so that loops over it vectorise: `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial for
/// `e^r`, and `2^n` put together from its bits in two halves (so that `n = 128` does not overflow on the way).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with trailing zeros: `n * LN2_HIGH` is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons, not `clamp`: a NaN passes.
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -104.0 { -104.0 } else { clamped };
    let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    // Taylor's coefficients 1/7! ... 1/2!: the remainder r^8/8! is below 6e-9 in that range.
    let p = 1.984_127e-4;
    let p = p * r + 1.388_888_9e-3;
    let p = p * r + 8.333_334e-3;
    let p = p * r + 4.166_666_8e-2;
    let p = p * r + 0.166_666_67;
    let p = p * r + 0.5;
    let value = p * r * r + r + 1.0;
    // SAFETY: not a NaN here (the conversion of one would be undefined), and small.
    let whole: i32 = unsafe { if n.is_nan() { 0.0 } else { n }.to_int_unchecked() };
    let half = whole >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    value * power(half) * power(whole - half)
}

#[cfg(test)]
mod tests {
    use super::{exp, normal, tanh};
    use resnetc_compiler::ir::erf::erf;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error <= 2.0 * f64::from(f32::EPSILON), "exp({x}): relative error {error:e}");
        }
    }

    /// Largest difference from the definition in double precision, over `-12..12`.
    fn error(fast: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let difference = |i: i32| {
            let x = i as f32 * 1e-4;
            (f64::from(fast(x)) - exact(f64::from(x))).abs()
        };
        (-120_000..=120_000).map(difference).fold(0.0, f64::max)
    }

    #[test]
    fn tanh_and_the_normal_distribution_are_within_their_bounds() {
        assert!(error(tanh, f64::tanh) <= 3e-7);
        assert!(error(|x| normal(x).0, |x| 0.5 * (1.0 + erf(x / 2f64.sqrt()))) <= 3e-7);
        let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        assert!(error(|x| normal(x).1, density) <= 3e-7);
        assert!(normal(f32::NAN).0.is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((tanh(f32::NEG_INFINITY), tanh(f32::INFINITY)), (-1.0, 1.0));
    }

    #[test]
    fn exp_of_the_extremes() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }
}
