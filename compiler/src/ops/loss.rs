//! Softmax and the cross-entropy loss.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, matrix};
use super::operator::{Class, Infer, InferError, Legal, Operator, first, in_training, like};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{CrossEntropy, CrossEntropyBackward, Softmax};
use crate::ir::types::{DType, Shape, TensorType};
use crate::plan::kernel;

/// Operations per logit: maximum, subtraction, exponential, sum, division or logarithm.
pub(super) const FLOPS: u64 = 5;

impl Operator for Softmax {
    fn text(&self) -> String {
        "softmax".into()
    }

    fn title(&self) -> String {
        "softmax".into()
    }

    fn class(&self) -> Class {
        Class::Head
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        logits(operands)?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Err("`softmax` has no gradient of its own: the loss takes logits".to_owned())
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, classes) = matrix(l.shape(0));
        l.step(kernel::Softmax { rows, classes });
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        FLOPS * first(operands)
    }
}

/// With `q = (1 - smoothing) * onehot(label) + smoothing / classes`: `dlogits = (softmax(logits) - q) / n`.
impl Operator for CrossEntropy {
    fn text(&self) -> String {
        format!("cross_entropy smoothing={}", self.smoothing)
    }

    fn title(&self) -> String {
        "cross-entropy".into()
    }

    fn class(&self) -> Class {
        Class::Loss
    }

    fn arity(&self) -> usize {
        2
    }

    /// The mean loss and the number of images classified rightly, both scalars.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        check_smoothing(self.smoothing)?;
        check(operands)?;
        Ok(vec![TensorType::f32(Shape::default()), TensorType::f32(Shape::default())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        if !v.is_loss() {
            return Err("`cross_entropy` has to be the loss itself, not part of a larger one".to_owned());
        }
        let inputs = v.operands.clone();
        Ok(vec![v.emit_if_wanted(0, CrossEntropyBackward { smoothing: self.smoothing }, &inputs), None])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, classes) = matrix(l.shape(0));
        l.step(kernel::CrossEntropy { rows, classes, smoothing: self.smoothing });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Built)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        FLOPS * first(operands)
    }
}

impl Operator for CrossEntropyBackward {
    fn text(&self) -> String {
        format!("cross_entropy_backward smoothing={}", self.smoothing)
    }

    fn title(&self) -> String {
        "cross-entropy ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        check(operands)?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, classes) = matrix(l.shape(0));
        let scale = l.loss_scale;
        let kernel = kernel::CrossEntropyBackward {
            rows,
            classes,
            smoothing: self.smoothing,
            scaled: scale.is_some(),
        };
        let (mut inputs, output) = (l.operands(), l.define(0));
        inputs.extend(scale);
        l.push(kernel, inputs, vec![output]);
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        FLOPS * first(operands)
    }
}

/// A share of the target.
pub(super) fn check_smoothing(smoothing: f32) -> Result<(), InferError> {
    if (0.0..1.0).contains(&smoothing) {
        return Ok(());
    }
    let message = format!("label smoothing has to be at least 0 and below 1, is {smoothing}");
    Err(InferError::new(message))
}

/// That there is a label for each row of logits.
pub(super) fn check(operands: &[&TensorType]) -> Result<(), InferError> {
    let [n, _] = logits(operands)?;
    if operands[1].shape != Shape::from([n]) || operands[1].dtype != DType::U32 {
        let message =
            format!("needs {n} classes of u32, gets {} of {}", operands[1].shape, operands[1].dtype);
        return Err(InferError::new(message).at(1));
    }
    Ok(())
}

/// `[n, classes]` of operand 0.
fn logits(operands: &[&TensorType]) -> Result<[usize; 2], InferError> {
    operands[0].shape.0.as_slice().try_into().map_err(|_| {
        let error = InferError::new(format!("needs logits [n, classes], gets {}", operands[0].shape)).at(0);
        error.help("end the head with `linear(classes)`")
    })
}
