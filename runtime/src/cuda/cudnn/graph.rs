//! A graph of operations for cuDNN, as data: no call is made here.
//!
//! Dimensions are in the order that cuDNN names them in, `[n, c, h, w]`; strides say that channels lie innermost.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::op::ConvAttrs;

use super::tensor::{Element, Role};

/// Ids of virtual tensors begin here, those of roles end before.
pub(super) const VIRTUAL: i64 = 100;

/// A tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tensor {
    /// Unique in its graph; a role's number where memory is bound to it.
    pub id: i64,
    /// `[n, c, h, w]`
    pub dims: [i64; 4],
    /// Elements from one to the next, by dimension.
    pub strides: [i64; 4],
    /// Type.
    pub element: Element,
    /// Bytes that its address is a multiple of.
    pub align: i64,
}

impl Tensor {
    /// Whether it lies nowhere in memory.
    pub fn is_virtual(&self) -> bool {
        self.id >= VIRTUAL
    }

    /// Whether it is a number that is handed over by value.
    pub fn is_number(&self) -> bool {
        Role::ALL.into_iter().any(|role| role as i64 == self.id && role.is_number())
    }
}

/// Which of the three a convolution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Writes `y`.
    Forward,
    /// Writes `x`.
    BackwardData,
    /// Writes `weight`.
    BackwardFilter,
}

/// What is done to each element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// `x + b`
    Add,
    /// `x * b`
    Mul,
    /// `slope * x` below 0, at most `upper`.
    Relu {
        /// Factor of the negative half.
        slope: f64,
        /// Largest result.
        upper: Option<f64>,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x * sigmoid(x)`
    Swish,
    /// The exact form.
    Gelu,
}

impl Mode {
    /// Of an activation; none where cuDNN has no operation for it.
    pub fn of(act: Activation) -> Option<Self> {
        match act {
            Activation::Relu => Some(Mode::Relu { slope: 0.0, upper: None }),
            Activation::Relu6 => Some(Mode::Relu { slope: 0.0, upper: Some(6.0) }),
            Activation::LeakyRelu { slope } => Some(Mode::Relu { slope: slope.into(), upper: None }),
            Activation::Sigmoid => Some(Mode::Sigmoid),
            Activation::Tanh => Some(Mode::Tanh),
            Activation::Silu => Some(Mode::Swish),
            Activation::Gelu => Some(Mode::Gelu),
            Activation::HardSigmoid | Activation::HardSwish | Activation::Mish => None,
        }
    }
}

/// An operation; numbers are indices of [`Graph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    /// A convolution or one of its gradients.
    Convolution { way: Way, x: usize, weight: usize, y: usize },
    /// `y = mode(x, b)`
    Pointwise { mode: Mode, x: usize, b: Option<usize>, y: usize },
    /// `dx = dy` where `x` is positive, else 0.
    ReluGradient { x: usize, dy: usize, dx: usize },
    /// Sums of `x` and of its squares, by channel.
    Stats { x: usize, sum: usize, squares: usize },
    /// Sums of `x` by channel.
    Sum { x: usize, sum: usize },
    /// `y = (x - mean) * rstd * scale + shift` by the statistics of `x`, which are stored; running ones take them in.
    Norm {
        x: usize,
        affine: [usize; 2],
        statistics: [usize; 2],
        running: [usize; 2],
        next: [usize; 2],
        epsilon: usize,
        momentum: usize,
        y: usize,
    },
    /// The same by statistics that are given.
    NormInference { x: usize, affine: [usize; 2], statistics: [usize; 2], y: usize },
    /// Its gradients: of `x`, of the factors, of the summands.
    NormGradient {
        x: usize,
        dy: usize,
        statistics: [usize; 2],
        scale: usize,
        gradients: [usize; 2],
        dx: usize,
    },
}

/// Operations in order, and their tensors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// All tensors, in the order in which they were asked for.
    pub tensors: Vec<Tensor>,
    /// What is computed.
    pub nodes: Vec<Node>,
    /// The convolution's window, where there is one.
    pub attrs: Option<ConvAttrs>,
}

impl Graph {
    /// The tensors that memory, or a number, is bound to.
    pub fn roles(&self) -> Vec<i64> {
        self.tensors.iter().filter(|tensor| !tensor.is_virtual()).map(|tensor| tensor.id).collect()
    }
}
