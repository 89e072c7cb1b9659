//! What a convolution has to do, as data: the pattern of operations, sizes, element types, arithmetic. Two convolutions with
//! the same [`Work`] can share a plan.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::op::ConvAttrs;
use resnetc_compiler::plan::ConvGeometry;
use serde::{Deserialize, Serialize};

use super::tensor::{Element, Place, Role};

/// What factors of `f32` may be rounded to before they are multiplied. Sums are always `f32`; factors of 16 bits are
/// multiplied as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Math {
    /// Nothing: `f32` means `f32`.
    Full,
    /// TF32, which has 10 bits of mantissa.
    Tf32,
}

/// Sizes of a convolution: maps NHWC, weights `[cout][kernel][kernel][cin / groups]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Output rows and columns.
    pub out: [usize; 2],
    /// The window.
    #[serde(flatten)]
    pub attrs: ConvAttrs,
    /// Where the input map, or its gradient, lies.
    pub x: Place,
    /// Where the output map, or its gradient, lies.
    pub y: Place,
}

impl From<&ConvGeometry> for Sizes {
    /// With both maps whole.
    fn from(geometry: &ConvGeometry) -> Self {
        let &ConvGeometry { n, h, w, cin, cout, out, attrs, precision: _ } = geometry;
        Sizes { n, h, w, cin, cout, out, attrs, x: Place::whole(cin), y: Place::whole(cout) }
    }
}

/// What is computed. `x`, `y` and `weight` are the forward convolution's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// `y = conv(x, weight)`
    Forward,
    /// `y = act(conv(x, weight) + bias + residual)`, of inference.
    ForwardEpilogue {
        /// Whether there is a bias, of `f32`.
        bias: bool,
        /// Whether a map of the result's type and place is added.
        residual: bool,
        /// Applied last; not all have a mode in cuDNN.
        act: Option<Activation>,
    },
    /// `y = conv(x, weight)`, with the sums of `y` and of its squares by channel.
    ForwardStats,
    /// `y = conv(relu(scale * x + shift + residual), weight)`: the normalisation before it, on the way.
    NormedForward {
        /// Whether a map of the input's type is added.
        residual: bool,
        /// With the sums of [`Pattern::ForwardStats`].
        stats: bool,
    },
    /// `dx = conv^T(dy, weight) + residual`
    BackwardData {
        /// Whether a map of the result's type is added.
        residual: bool,
    },
    /// The same where `mask` is positive, 0 elsewhere: the gradient of the ReLU before it, too.
    BackwardDataRelu {
        /// As in [`Pattern::BackwardData`].
        residual: bool,
    },
    /// The same, with the sums by channel that the gradient of the normalisation before it needs: of `dx`, and of `dx * normed`,
    /// that normalisation's input.
    BackwardDataReluSums {
        /// As in [`Pattern::BackwardData`].
        residual: bool,
    },
    /// `dweight = sum over pixels of x and dy`
    BackwardFilter,
}

impl Pattern {
    /// Whether sums by channel are among its results. Some engines add to what lies there, so zeros have to.
    pub fn has_sums(&self) -> bool {
        match self {
            Pattern::ForwardStats | Pattern::BackwardDataReluSums { .. } => true,
            Pattern::NormedForward { stats, .. } => *stats,
            Pattern::Forward
            | Pattern::ForwardEpilogue { .. }
            | Pattern::BackwardData { .. }
            | Pattern::BackwardDataRelu { .. }
            | Pattern::BackwardFilter => false,
        }
    }

    /// `forward + bias + residual + relu`
    pub fn text(&self) -> String {
        let with = |parts: &[(bool, &str)]| -> String {
            parts.iter().filter(|part| part.0).map(|part| format!(" + {}", part.1)).collect()
        };
        match *self {
            Pattern::Forward => "forward".into(),
            Pattern::ForwardEpilogue { bias, residual, act } => {
                let act = act.map_or("", |act| act.info().name);
                let parts = [(bias, "bias"), (residual, "residual"), (!act.is_empty(), act)];
                format!("forward{}", with(&parts))
            }
            Pattern::ForwardStats => "forward + stats".into(),
            Pattern::NormedForward { residual, stats } => {
                let before = if residual { "scale, shift, residual, relu" } else { "scale, shift, relu" };
                format!("{before}, forward{}", with(&[(stats, "stats")]))
            }
            Pattern::BackwardData { residual } => {
                format!("backward data{}", with(&[(residual, "residual")]))
            }
            Pattern::BackwardDataRelu { residual } => {
                format!("backward data{} + drelu", with(&[(residual, "residual")]))
            }
            Pattern::BackwardDataReluSums { residual } => {
                format!("backward data{} + drelu + sums", with(&[(residual, "residual")]))
            }
            Pattern::BackwardFilter => "backward filter".into(),
        }
    }
}

/// A convolution's work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// What is computed.
    pub pattern: Pattern,
    /// On which sizes.
    pub sizes: Sizes,
    /// Type of what is multiplied: both factors of the convolution.
    pub input: Element,
    /// Type of what is stored besides sums; of `residual` and `mask` likewise, and of `normed`.
    pub output: Element,
    /// Arithmetic in `f32`.
    pub math: Math,
}

impl Work {
    /// With all maps and weights of one type.
    pub fn new(pattern: Pattern, sizes: Sizes, element: Element, math: Math) -> Self {
        Work { pattern, sizes, input: element, output: element, math }
    }

    /// Type of a normalisation's factors and summands: `f32`, but where `f16` is multiplied, for only then are the engines offered
    /// that lie in the library (9.28).
    pub fn affine(&self) -> Element {
        match self.input {
            Element::F32 | Element::Bf16 => Element::F32,
            Element::F16 => Element::F16,
        }
    }

    /// Whether factors have to be multiplied as `f32`.
    pub fn is_single(&self) -> bool {
        self.input == Element::F32 && self.math == Math::Full
    }

    /// Bytes from a tensor's first element to the end of its last.
    pub fn bytes(&self, role: Role) -> usize {
        let Sizes { n, h, w, cin, cout, out, attrs, x, y } = self.sizes;
        let (from, to) = (n * h * w * x.pitch, n * out[0] * out[1] * y.pitch);
        let weight = cout * attrs.kernel[0] * attrs.kernel[1] * (cin / attrs.groups);
        let (input, output) = (self.input.size(), self.output.size());
        let backward = matches!(
            self.pattern,
            Pattern::BackwardData { .. }
                | Pattern::BackwardDataRelu { .. }
                | Pattern::BackwardDataReluSums { .. }
        );
        match role {
            Role::X => from * input,
            Role::Weight => weight * input,
            Role::Dweight => weight * output,
            Role::Y => to * output,
            Role::Dy => to * input,
            Role::Dx | Role::Mask | Role::Normed => from * output,
            Role::Residual if backward => from * output,
            Role::Residual if matches!(self.pattern, Pattern::NormedForward { .. }) => from * input,
            Role::Residual => to * output,
            Role::Bias | Role::Scale | Role::Shift | Role::Sum | Role::SumProducts => {
                cin.max(cout) * Element::F32.size()
            }
            // A normalisation's.
            Role::Mean
            | Role::Rstd
            | Role::RunningMean
            | Role::RunningVar
            | Role::NextRunningMean
            | Role::NextRunningVar
            | Role::Dscale
            | Role::Dshift
            | Role::Epsilon
            | Role::Momentum => 0,
        }
    }

    /// Multiply-accumulates.
    pub fn macs(&self) -> u64 {
        let Sizes { n, cin, cout, out, attrs, .. } = self.sizes;
        let taps = attrs.kernel[0] * attrs.kernel[1];
        (n * out[0] * out[1]) as u64 * (taps * cout * (cin / attrs.groups)) as u64
    }

    /// `bf16`, `bf16 -> f32`, `f32 by tf32`
    pub fn types(&self) -> String {
        let math = if self.input == Element::F32 && self.math == Math::Tf32 { " by tf32" } else { "" };
        match (self.input.name(), self.output.name()) {
            (input, output) if input == output => format!("{input}{math}"),
            (input, output) => format!("{input} -> {output}{math}"),
        }
    }
}

/// `forward + stats bf16 3x3 64x56x56 -> 64x56x56, n 256`
impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.pattern.text(), self.types(), self.sizes)
    }
}

/// `3x3/2 128x56x56 -> 128x28x28, n 256`
impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sizes { n, h, w, cin, cout, out, attrs, x, y } = self;
        let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}:{b}") };
        write!(f, "{}x{}", attrs.kernel[0], attrs.kernel[1])?;
        if attrs.stride != [1, 1] {
            write!(f, "/{}", pair(attrs.stride))?;
        }
        if attrs.padding != attrs.kernel.map(|k| k / 2) {
            write!(f, " p{}", pair(attrs.padding))?;
        }
        if attrs.dilation != [1, 1] {
            write!(f, " d{}", pair(attrs.dilation))?;
        }
        if attrs.groups != 1 {
            write!(f, " g{}", attrs.groups)?;
        }
        write!(f, " {cin}x{h}x{w} -> {cout}x{}x{}", out[0], out[1])?;
        for (name, place, channels) in [("x", x, cin), ("y", y, cout)] {
            if place.pitch != *channels {
                write!(f, ", {name} of {}", place.pitch)?;
            }
        }
        write!(f, ", n {n}")
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::types::DType;

    use super::*;

    #[test]
    fn works_are_told_in_words() {
        let attrs =
            ConvAttrs { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 1 };
        let geometry =
            ConvGeometry { n: 4, h: 8, w: 8, cin: 16, cout: 32, out: [4, 4], attrs, precision: DType::F32 };
        let sizes = Sizes::from(&geometry);
        assert_eq!(sizes.to_string(), "3x3/2 16x8x8 -> 32x4x4, n 4");
        let sliced = Sizes { y: Place::slice(96, 64, Element::Bf16), ..sizes };
        assert_eq!(sliced.to_string(), "3x3/2 16x8x8 -> 32x4x4, y of 96, n 4");
        let pattern = Pattern::ForwardEpilogue { bias: true, residual: true, act: Some(Activation::Relu) };
        assert_eq!(pattern.text(), "forward + bias + residual + relu");
        let work = Work::new(pattern, sizes, Element::F32, Math::Tf32);
        assert_eq!((work.types(), work.macs()), ("f32 by tf32".to_owned(), geometry.macs()));
        assert_eq!(Work { input: Element::Bf16, ..work }.types(), "bf16 -> f32");
    }
}
