//! Activations: one entry each, with all that is known of it. Specs, dumps, pictures, passes, the reference and the suites
//! read the entry; only the vectorised kernels have code of their own.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::erf::erf;

/// What an activation's gradient is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradFrom {
    /// The activation's result.
    Result,
    /// Its input: the result does not determine the derivative, since the function is not monotonic.
    Input,
}

/// All that is known of an activation.
#[derive(Debug)]
pub struct ActivationInfo {
    /// As specs spell it.
    pub name: &'static str,
    /// The formula, for the reference of the language.
    pub about: &'static str,
    /// What the gradient is computed from.
    pub grad_from: GradFrom,
    /// Whether the sign of the result says which of two constants the derivative is: its gradient then is a mask that any
    /// kernel can apply to what it reads.
    pub keeps_sign: bool,
    /// Whether all results lie between -1 and 1.
    pub bounded: bool,
    /// The function of `x`; the second argument is the activation's parameter, 0 where it has none.
    f: fn(f64, f64) -> f64,
    /// Its derivative, from what `grad_from` says; likewise.
    derivative: fn(f64, f64) -> f64,
}

/// Writes the enum and what has to name every activation: one entry is all that one needs here.
macro_rules! activations {
    ($($(#[doc = $doc:literal])* $name:ident $({ $(#[doc = $about:literal])* $parameter:ident = $default:literal })? = $info:expr;)*) => {
        /// Elementwise nonlinearity.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Activation {
            $(
                $(#[doc = $doc])*
                $name $({ $(#[doc = $about])* $parameter: f32 })?,
            )*
        }

        impl Activation {
            /// All, with the parameter that specs give where they name none.
            pub const ALL: &[Activation] = &[$(Activation::$name $({ $parameter: $default })?,)*];

            /// Its entry.
            pub fn info(self) -> &'static ActivationInfo {
                match self {
                    $(Activation::$name { .. } => {
                        const INFO: ActivationInfo = $info;
                        &INFO
                    })*
                }
            }

            /// The number that belongs to it; none for most.
            pub fn parameter(self) -> Option<f32> {
                match self {
                    $(Activation::$name { $($parameter)? } => {
                        let parameters: &[f32] = &[$($parameter)?];
                        parameters.first().copied()
                    })*
                }
            }
        }
    };
}

activations! {
    /// `max(x, 0)`
    Relu = ActivationInfo {
        name: "relu",
        about: "`max(x, 0)`",
        grad_from: GradFrom::Result,
        keeps_sign: true,
        bounded: false,
        // A NaN stays one.
        f: |x, _| if x <= 0.0 { 0.0 } else { x },
        derivative: |y, _| if y > 0.0 { 1.0 } else { 0.0 },
    };

    /// `x` where positive, `slope * x` elsewhere. `slope` is positive, so the sign of the result is that of `x`.
    LeakyRelu {
        /// Factor of the negative half.
        slope = 0.01
    } = ActivationInfo {
        name: "leaky_relu",
        about: "`x` where positive, `slope * x` elsewhere",
        grad_from: GradFrom::Result,
        keeps_sign: true,
        bounded: false,
        f: |x, slope| if x > 0.0 { x } else { slope * x },
        derivative: |y, slope| if y > 0.0 { 1.0 } else { slope },
    };

    /// `1 / (1 + exp(-x))`
    Sigmoid = ActivationInfo {
        name: "sigmoid",
        about: "`1 / (1 + exp(-x))`",
        grad_from: GradFrom::Result,
        keeps_sign: false,
        bounded: true,
        f: |x, _| sigmoid(x),
        derivative: |y, _| y * (1.0 - y),
    };

    /// `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`
    Tanh = ActivationInfo {
        name: "tanh",
        about: "Hyperbolic tangent.",
        grad_from: GradFrom::Result,
        keeps_sign: false,
        bounded: true,
        f: |x, _| x.tanh(),
        derivative: |y, _| 1.0 - y * y,
    };

    /// `x * sigmoid(x)` (Elfwing et al. 2017; Ramachandran et al. 2017 as swish).
    Silu = ActivationInfo {
        name: "silu",
        about: "`x * sigmoid(x)`, also called swish",
        grad_from: GradFrom::Input,
        keeps_sign: false,
        bounded: false,
        f: |x, _| x * sigmoid(x),
        // With s = sigmoid(x): s * (1 + x * (1 - s)).
        derivative: |x, _| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
    };

    /// `x * (1 + erf(x / sqrt(2))) / 2`: the exact form, PyTorch's default (Hendrycks and Gimpel 2016).
    Gelu = ActivationInfo {
        name: "gelu",
        about: "`x * (1 + erf(x / sqrt(2))) / 2`, the exact form",
        grad_from: GradFrom::Input,
        keeps_sign: false,
        bounded: false,
        f: |x, _| x * normal(x),
        // With the normal distribution's P and density p: P(x) + x * p(x).
        derivative: |x, _| normal(x) + x * (-x * x / 2.0).exp() / (2.0 * PI).sqrt(),
    };

    /// `min(max(x, 0), 6)` (Howard et al. 2017, MobileNets).
    Relu6 = ActivationInfo {
        name: "relu6",
        about: "`min(max(x, 0), 6)`",
        grad_from: GradFrom::Result,
        keeps_sign: false,
        bounded: false,
        f: |x, _| x.clamp(0.0, 6.0),
        derivative: |y, _| if y > 0.0 && y < 6.0 { 1.0 } else { 0.0 },
    };

    /// `min(max(x + 3, 0), 6) / 6` (Howard et al. 2019, MobileNetV3).
    HardSigmoid = ActivationInfo {
        name: "hard_sigmoid",
        about: "`min(max(x + 3, 0), 6) / 6`",
        grad_from: GradFrom::Result,
        keeps_sign: false,
        bounded: true,
        f: |x, _| if x <= -3.0 { 0.0 } else if x >= 3.0 { 1.0 } else { (x + 3.0) / 6.0 },
        derivative: |y, _| if y > 0.0 && y < 1.0 { 1.0 / 6.0 } else { 0.0 },
    };

    /// `x * hard_sigmoid(x)` (Howard et al. 2019, MobileNetV3).
    HardSwish = ActivationInfo {
        name: "hard_swish",
        about: "`x * hard_sigmoid(x)`",
        grad_from: GradFrom::Input,
        keeps_sign: false,
        bounded: false,
        f: |x, _| if x <= -3.0 { 0.0 } else if x >= 3.0 { x } else { x * (x + 3.0) / 6.0 },
        derivative: |x, _| if x <= -3.0 { 0.0 } else if x >= 3.0 { 1.0 } else { (2.0 * x + 3.0) / 6.0 },
    };

    /// `x * tanh(log(1 + exp(x)))` (Misra 2019).
    Mish = ActivationInfo {
        name: "mish",
        about: "`x * tanh(log(1 + exp(x)))`",
        grad_from: GradFrom::Input,
        keeps_sign: false,
        bounded: false,
        f: |x, _| x * x.exp().ln_1p().tanh(),
        // With t = tanh(log(1 + exp(x))): t + x * (1 - t^2) * sigmoid(x).
        derivative: |x, _| {
            let t = x.exp().ln_1p().tanh();
            t + x * (1.0 - t * t) * sigmoid(x)
        },
    };
}

impl Activation {
    /// The function in double precision.
    pub fn apply(self, x: f64) -> f64 {
        (self.info().f)(x, self.parameter().map_or(0.0, f64::from))
    }

    /// The derivative in double precision, from the result or the input: see [`Activation::grad_from`].
    pub fn derivative(self, from: f64) -> f64 {
        (self.info().derivative)(from, self.parameter().map_or(0.0, f64::from))
    }

    /// See [`ActivationInfo::keeps_sign`].
    pub fn keeps_sign(self) -> bool {
        self.info().keeps_sign
    }

    /// What the gradient is computed from, the second operand of [`ActivateBackward`](super::op::ActivateBackward).
    pub fn grad_from(self) -> GradFrom {
        self.info().grad_from
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Probability of what is below `x` in the standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// `relu`, `leaky_relu(0.1)`
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)?;
        self.parameter().map_or(Ok(()), |parameter| write!(f, "({parameter})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of the function agree with the derivative to their own error.
    #[test]
    fn derivatives_are_those_of_the_functions() {
        let h = 1e-5;
        for &act in Activation::ALL {
            for x in [-3.7, -1.3, -0.4, 0.3, 1.1, 2.9] {
                let slope = (act.apply(x + h) - act.apply(x - h)) / (2.0 * h);
                let from = match act.grad_from() {
                    GradFrom::Result => act.apply(x),
                    GradFrom::Input => x,
                };
                let found = act.derivative(from);
                assert!((slope - found).abs() < 1e-8, "{act} at {x}: {found}, differences give {slope}");
            }
        }
    }

    #[test]
    fn what_the_table_says_holds() {
        for &act in Activation::ALL {
            let points = (-40..=40).map(|i| f64::from(i) / 7.0);
            for x in points {
                let y = act.apply(x);
                assert!(!act.info().bounded || y.abs() <= 1.0, "{act} at {x} is {y}");
                assert!(!act.keeps_sign() || (x > 0.0) == (y > 0.0), "{act} at {x} is {y}");
            }
        }
        let mut names: Vec<&str> = Activation::ALL.iter().map(|act| act.info().name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Activation::ALL.len());
    }
}
