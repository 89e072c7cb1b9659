//! Losses with class weights, of mixed images, and those that judge each class on its own.

use super::gradient::{Gradients, Vjp};
use super::loss::{FLOPS, check, check_smoothing};
use super::lowering::{Lowering, matrix};
use super::operator::{Class, Infer, InferError, Legal, Operator, first, in_training, like};
use crate::ir::graph::{Mode, Stage};
use crate::ir::objective::LossAttrs;
use crate::ir::op::{TargetLoss, TargetLossBackward};
use crate::ir::types::{DType, Shape, TensorType};
use crate::plan::{BufferId, LossGeometry, kernel};

/// With targets `t`, weights `w`, `p = softmax(x)`: `dx = p * sum(w * t) - w * t`, over what the loss is divided by. Where each class is
/// judged on its own, `p = sigmoid(x)`: `dx = w * (p - t)`; focal's follows by the product rule. Focal of a softmax has
/// `a = w * t * ((1 - p)^g - g * p * (1 - p)^(g - 1) * log(p))` in the place of `w * t`.
impl Operator for TargetLoss {
    fn text(&self) -> String {
        format!("target_loss {}", self.attrs)
    }

    fn title(&self) -> String {
        self.attrs.objective.name().replace('_', " ")
    }

    fn class(&self) -> Class {
        Class::Loss
    }

    fn arity(&self) -> usize {
        arity(&self.attrs)
    }

    /// The loss and the number of images whose largest logit is at their own label, both scalars.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        check_all(&self.attrs, operands)?;
        Ok(vec![TensorType::f32(Shape::default()), TensorType::f32(Shape::default())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        if !v.is_loss() {
            return Err("`target_loss` has to be the loss itself, not part of a larger one".to_owned());
        }
        let inputs = v.operands.clone();
        let gradient = v.emit_if_wanted(0, TargetLossBackward { attrs: self.attrs.clone() }, &inputs);
        Ok([gradient].into_iter().chain(vec![None; self.arity() - 1]).collect())
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = geometry(&self.attrs, l);
        let inputs = with_weights(&self.attrs, l);
        let outputs = vec![l.define(0), l.define(1)];
        l.push(kernel::TargetLoss { geometry }, inputs, outputs);
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Built)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        FLOPS * first(operands)
    }
}

impl Operator for TargetLossBackward {
    fn text(&self) -> String {
        format!("target_loss_backward {}", self.attrs)
    }

    fn title(&self) -> String {
        format!("{} ∂", self.attrs.objective.name().replace('_', " "))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        arity(&self.attrs)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        check_all(&self.attrs, operands)?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (geometry, scale) = (geometry(&self.attrs, l), l.loss_scale);
        let mut inputs = with_weights(&self.attrs, l);
        inputs.extend(scale);
        let output = l.define(0);
        l.push(kernel::TargetLossBackward { geometry, scaled: scale.is_some() }, inputs, vec![output]);
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        FLOPS * first(operands)
    }
}

fn arity(attrs: &LossAttrs) -> usize {
    2 + 2 * usize::from(attrs.mixed) + usize::from(attrs.distillation.is_some())
}

fn geometry(attrs: &LossAttrs, l: &Lowering<'_>) -> LossGeometry {
    let (rows, classes) = matrix(l.shape(0));
    let LossAttrs { objective, smoothing, mixed, distillation, .. } = *attrs;
    let weighted = !attrs.class_weights.is_empty();
    LossGeometry { rows, classes, objective, smoothing, weighted, mixed, distillation }
}

/// The operands' buffers and, where there are some, that of the class weights.
fn with_weights(attrs: &LossAttrs, l: &mut Lowering<'_>) -> Vec<BufferId> {
    let mut inputs = l.operands();
    if !attrs.class_weights.is_empty() {
        inputs.push(l.plan.class_weights(&attrs.class_weights));
    }
    inputs
}

fn check_all(attrs: &LossAttrs, operands: &[&TensorType]) -> Result<(), InferError> {
    check_smoothing(attrs.smoothing)?;
    check(operands)?;
    let [n, classes] = [operands[0].shape.0[0], operands[0].shape.0[1]];
    let weights = attrs.class_weights.len();
    if weights != 0 && weights != classes {
        return Err(InferError::new(format!("needs {classes} class weights, gets {weights}")));
    }
    if let (Some(_), Some(teacher)) = (attrs.distillation, operands.last())
        && (teacher.shape != operands[0].shape || teacher.dtype != DType::F32)
    {
        let message = format!("needs a teacher's logits {}, gets {}", operands[0].shape, teacher.shape);
        return Err(InferError::new(message).at(operands.len() - 1));
    }
    for (at, dtype) in [(2, DType::U32), (3, DType::F32)].into_iter().filter(|_| attrs.mixed) {
        if operands[at].shape != Shape::from([n]) || operands[at].dtype != dtype {
            let message =
                format!("needs {n} of {dtype}, gets {} of {}", operands[at].shape, operands[at].dtype);
            return Err(InferError::new(message).at(at));
        }
    }
    Ok(())
}
