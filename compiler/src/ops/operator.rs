//! What an operator says of itself: one trait, implemented once per operator, in the operator's file.

use super::gradient::{Gradients, Vjp};
use super::lowering::Lowering;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::persistent::Role;
use crate::ir::types::{DType, Layout, Shape, TensorType};

/// Why an operator cannot take its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferError {
    /// One line, lower case, no full stop.
    pub message: String,
    /// Which operand is at fault, where one is.
    pub operand: Option<usize>,
    /// The way out.
    pub help: Option<String>,
}

impl InferError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        InferError { message: message.into(), operand: None, help: None }
    }

    pub(super) fn at(mut self, operand: usize) -> Self {
        self.operand = Some(operand);
        self
    }

    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Types of the results, in [`Layout::Plain`].
pub type Infer = Result<Vec<TensorType>, InferError>;

/// Groups of operators, as pictures colour them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Images, labels, parameters.
    Input,
    /// Convolutions.
    Conv,
    /// What stands for a shortcut.
    Shortcut,
    /// Normalisation, affine maps.
    Norm,
    /// Sums, products, activations, concatenation.
    Elementwise,
    /// Pooling.
    Pool,
    /// Linear layers, softmax.
    Head,
    /// The loss.
    Loss,
    /// Everything of the backward pass, and updates.
    Backward,
}

/// First and last stage in which an operator is legal; `None` where never.
pub type Legal = Option<(Stage, Stage)>;

/// In every stage.
pub(super) const ALWAYS: Legal = Some((Stage::Built, Stage::LaidOut));

/// From a stage on, in training alone.
pub(super) fn in_training(mode: Mode, from: Stage) -> Legal {
    (mode == Mode::Train).then_some((from, Stage::LaidOut))
}

/// An operator. Operands and results are those that its type's documentation lists, in that order.
pub trait Operator {
    /// The operator with its attributes, as dumps show it: `conv 3x3 s1 p1 +bias +relu`. Defaults are not written.
    fn text(&self) -> String;

    /// What a picture writes into its box: `conv 3x3 /2 + bias + relu`.
    fn title(&self) -> String;

    /// Its group.
    fn class(&self) -> Class;

    /// How many operands it takes.
    fn arity(&self) -> usize;

    /// Types of its results. The operands are as many as [`Operator::arity`] says; their layouts do not matter. Sizes are
    /// computed with checked arithmetic.
    fn infer(&self, mode: Mode, operands: &[&TensorType]) -> Infer;

    /// Adds the nodes that compute the gradients of its operands, by the rule that its documentation gives.
    fn vjp(&self, _v: &mut Vjp<'_>) -> Gradients {
        Err("gradients of gradients are not computed".to_owned())
    }

    /// Adds the steps that compute it.
    fn lower(&self, l: &mut Lowering<'_>);

    /// Where it is legal.
    fn legal(&self, _mode: Mode) -> Legal {
        ALWAYS
    }

    /// What else is wrong with its attributes in a mode and a stage: a sentence.
    fn fault(&self, _mode: Mode, _stage: Stage) -> Option<String> {
        None
    }

    /// What it does to its result before storing it; a backward operator's is its forward operator's.
    fn epilogue(&self) -> Epilogue {
        Epilogue::default()
    }

    /// Operands that have to be parameters, with their roles.
    fn params(&self) -> Vec<(usize, Role)> {
        Vec::new()
    }

    /// Whether its results are weights of convolutions or linear layers, or gradients of such.
    fn makes_weight(&self) -> bool {
        false
    }

    /// Multiply-accumulates: outputs times the taps of one output.
    fn macs(&self, _operands: &[&TensorType], _results: &[TensorType]) -> u64 {
        0
    }

    /// Operations besides multiply-accumulates, about one per element and operation.
    fn elementwise(&self, _operands: &[&TensorType], _results: &[TensorType]) -> u64 {
        0
    }

    /// Bytes that it reads and writes besides operands and results.
    fn hidden_traffic(&self, _operands: &[&TensorType]) -> (u64, u64) {
        (0, 0)
    }
}

/// Elements of a type that was inferred, so that they can be counted.
pub(super) fn numel(ty: &TensorType) -> u64 {
    ty.shape.numel().unwrap_or(usize::MAX) as u64
}

/// Elements of the first result.
pub(super) fn out(results: &[TensorType]) -> u64 {
    results.first().map_or(0, numel)
}

/// Elements of the first operand.
pub(super) fn first(operands: &[&TensorType]) -> u64 {
    operands.first().map_or(0, |ty| numel(ty))
}

/// Operations of an epilogue, per element.
pub(super) fn epilogue_flops(epilogue: &Epilogue) -> u64 {
    u64::from(epilogue.residual) + u64::from(epilogue.act.is_some())
}

/// In training a mask has to follow from the result: what is wrong with an epilogue that has none.
pub(super) fn mask_fault(epilogue: &Epilogue, mode: Mode) -> Option<String> {
    let act = epilogue.act.filter(|act| mode == Mode::Train && !act.keeps_sign())?;
    Some(format!("{act} cannot be in this epilogue in training"))
}

/// `[n, c, h, w]` of an operand that has to be a feature map.
pub(super) fn feature_map(operands: &[&TensorType], index: usize) -> Result<[usize; 4], InferError> {
    let ty = operands[index];
    match (ty.shape.nchw(), ty.dtype) {
        (Some(sizes), DType::F32 | DType::Bf16 | DType::F16) => Ok(sizes),
        (Some(_), DType::U8 | DType::U32 | DType::U64) => {
            Err(InferError::new(format!("needs numbers, gets {}", ty.dtype)).at(index))
        }
        (None, _) => {
            let error =
                InferError::new(format!("needs a feature map [n, c, h, w], gets {}", ty.shape)).at(index);
            Err(match ty.shape.rank() {
                2 => error.help(NO_IMAGE),
                _ => error,
            })
        }
    }
}

/// For layers of images behind a linear layer.
const NO_IMAGE: &str = "a linear layer gives numbers without an image: put this layer before it, or write `conv1x1(out, bias)` in \
                        place of `linear(out)`";

/// That an operand has a certain shape; `what` names it.
pub(super) fn same_shape(
    operands: &[&TensorType],
    index: usize,
    shape: &Shape,
    what: &str,
) -> Result<(), InferError> {
    if operands[index].shape == *shape {
        return Ok(());
    }
    Err(InferError::new(format!("{what} has shape {}, needs {shape}", operands[index].shape)).at(index))
}

/// A result of that shape, of the operand's element type.
pub(super) fn like(operand: &TensorType, shape: impl Into<Shape>) -> TensorType {
    TensorType { shape: shape.into(), dtype: operand.dtype, layout: Layout::Plain }
}
