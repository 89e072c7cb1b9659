//! The operand table of a kernel: the one place that says what a kernel reads and writes.
//!
//! In-place sharing, slices, element types, the checks of plans and devices, printing, and the data of tests are all
//! derived from it. Operands are found by name: a position says nothing where operands are optional.

use crate::ir::activation::Activation;
use crate::ir::types::{DType, Layout, Shape};

use super::geometry::PoolGeometry;

/// What an operand's elements are. The element type, the order in memory, and the values that tests generate follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content {
    /// A feature map, or the gradient of one.
    Map,
    /// A feature map that the kernel only compares: its signs and its order matter, sums of it are not formed.
    Compared,
    /// The map that an activation's gradient is computed from: its result or its input.
    Activated(Activation),
    /// A convolution's weight, or a linear layer's.
    Weight,
    /// One number per output channel that is added.
    Bias,
    /// A normalisation's scale.
    Scale,
    /// A normalisation's shift.
    Shift,
    /// A mean, to be subtracted.
    Mean,
    /// A variance: not negative.
    Variance,
    /// A reciprocal standard deviation: positive.
    Rstd,
    /// A running mean.
    RunningMean,
    /// A running variance: positive.
    RunningVar,
    /// A sum that a backward pass forms, one element per channel or per group.
    Sum,
    /// Position of a maximum in its window, row-major.
    Tap(PoolGeometry),
    /// An index below the bound.
    Index(usize),
    /// The share of the first of two images that are mixed: 0 to 1.
    Share,
    /// The factor of a class in the loss: not negative.
    ClassWeight,
    /// Logits of classes, or probabilities.
    Logits,
    /// One number that the caller reads.
    Scalar,
    /// Trained parameters, many side by side.
    Param,
    /// Their gradients.
    Grad,
    /// A tensor of the optimizer's state, of that number in the rule's list.
    OptimizerState(u8),
    /// The factor of the loss: positive.
    LossScale,
    /// A flag: 1 where all gradients of the step are finite, else 0.
    Finite,
    /// A number of steps, as a whole number in `f32`.
    StepCount,
    /// The step's learning rate.
    Rate,
    /// A number from 0 to 1 that is written before each run.
    Factor,
    /// The number of the step, from 0.
    StepNumber,
    /// The seed of the training.
    Seed,
}

impl Content {
    /// The element type, unless the map is stored in a narrow type.
    pub fn dtype(self) -> DType {
        match self {
            Content::Tap(_) => DType::U8,
            Content::Index(_) | Content::Finite => DType::U32,
            Content::StepNumber | Content::Seed => DType::U64,
            Content::Map
            | Content::Compared
            | Content::Activated(_)
            | Content::Weight
            | Content::Bias
            | Content::Scale
            | Content::Shift
            | Content::Mean
            | Content::Variance
            | Content::Rstd
            | Content::RunningMean
            | Content::RunningVar
            | Content::Sum
            | Content::Share
            | Content::ClassWeight
            | Content::Logits
            | Content::Scalar
            | Content::Param
            | Content::Grad
            | Content::OptimizerState(_)
            | Content::LossScale
            | Content::StepCount
            | Content::Rate
            | Content::Factor => DType::F32,
        }
    }
}

/// Sizes of an operand in logical order. A kernel that takes a map as a matrix has `[rows, channels, 1, 1]`: buffers
/// agree with it in the number of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    sizes: [usize; 4],
    rank: usize,
}

impl Sizes {
    /// Of the given sizes.
    pub fn new<const N: usize>(sizes: [usize; N]) -> Self {
        const { assert!(N <= 4) };
        let mut padded = [1; 4];
        padded[..N].copy_from_slice(&sizes);
        Sizes { sizes: padded, rank: N }
    }

    /// Number of elements; `None` on overflow.
    pub fn numel(&self) -> Option<usize> {
        product(self.sizes)
    }

    /// As a shape.
    pub fn shape(&self) -> Shape {
        Shape(self.sizes[..self.rank].to_vec())
    }

    /// The order in memory that kernels with channels innermost take it in.
    pub fn layout(&self, content: Content) -> Layout {
        match (content, self.rank) {
            (Content::Weight, _) => Layout::Hwio,
            (Content::Tap(_) | Content::Index(_), 4) => Layout::Nhwc,
            (_, 4) => Layout::Nhwc,
            (_, _) => Layout::Plain,
        }
    }
}

/// The product of sizes; `None` on overflow.
pub(super) fn product<const N: usize>(sizes: [usize; N]) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

/// One operand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operand {
    /// Unique within the kernel, the parts of a concatenation aside: `x`, `dy`, `residual`.
    pub name: &'static str,
    /// What its elements are.
    pub content: Content,
    /// Its sizes.
    pub sizes: Sizes,
    /// Input only: the kernel also writes it.
    pub updated: bool,
    /// Whether it may be a slice of a wider map: the kernel steps over the gaps.
    pub slice: bool,
    /// The group of maps that are all stored as `f32` or all in one narrow type; `None` where `f32` is the only way.
    pub narrow: Option<u8>,
}

impl Operand {
    /// An operand that is read (or written, among outputs), whole, in its own type.
    pub(super) fn new<const N: usize>(name: &'static str, content: Content, sizes: [usize; N]) -> Self {
        let sizes = Sizes::new(sizes);
        Operand { name, content, sizes, updated: false, slice: false, narrow: None }
    }

    /// A feature map that may be stored in a narrow type with all others of group 0.
    pub(super) fn map<const N: usize>(name: &'static str, sizes: [usize; N]) -> Self {
        Operand { narrow: Some(0), ..Operand::new(name, Content::Map, sizes) }
    }

    /// Of another group of maps; `None` where the map stays `f32`.
    pub(super) fn narrow(self, group: Option<u8>) -> Self {
        Operand { narrow: group, ..self }
    }

    /// With other contents.
    pub(super) fn content(self, content: Content) -> Self {
        Operand { content, ..self }
    }

    /// One that may be a slice.
    pub(super) fn slice(self) -> Self {
        Operand { slice: true, ..self }
    }

    /// One that is read and written.
    pub(super) fn updated(self) -> Self {
        Operand { updated: true, ..self }
    }
}

/// What a kernel reads and writes, in the order of a step's buffers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Operands {
    /// Read, and where marked so, updated.
    pub inputs: Vec<Operand>,
    /// Written whole.
    pub outputs: Vec<Operand>,
    /// `(output, input)` by position, where the output may lie exactly on the input; preferred ones first.
    pub in_place: Vec<(usize, usize)>,
}

impl Operands {
    /// Inputs and outputs, none of which may share memory.
    pub(super) fn new<const I: usize, const O: usize>(inputs: [Operand; I], outputs: [Operand; O]) -> Self {
        Operands { inputs: inputs.to_vec(), outputs: outputs.to_vec(), in_place: Vec::new() }
    }

    /// Appends an input if there is one.
    pub(super) fn input(mut self, operand: impl Into<Option<Operand>>) -> Self {
        self.inputs.extend(operand.into());
        self
    }

    /// Appends an output if there is one.
    pub(super) fn output(mut self, operand: impl Into<Option<Operand>>) -> Self {
        self.outputs.extend(operand.into());
        self
    }

    /// Allows outputs to lie on inputs, by name, preferred pairs first. Pairs of an operand that is not there are left out.
    pub(super) fn in_place(mut self, pairs: &[(&str, &str)]) -> Self {
        let find = |operands: &[Operand], name: &str| operands.iter().position(|o| o.name == name);
        let pairs = pairs
            .iter()
            .filter_map(|(output, input)| Some((find(&self.outputs, output)?, find(&self.inputs, input)?)));
        self.in_place = pairs.collect();
        self
    }

    /// All operands, inputs first.
    pub fn all(&self) -> impl Iterator<Item = &Operand> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// The groups of maps that may be stored in a narrow type.
    pub fn narrow_groups(&self) -> u8 {
        self.all().filter_map(|operand| operand.narrow).max().map_or(0, |last| last + 1)
    }
}
