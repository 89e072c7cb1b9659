//! Sources of values: the images, the classes, persistent tensors. They compute nothing: their memory is filled before a run,
//! and placed with the plan.

use super::gradient::{Gradients, Vjp};
use super::lowering::Lowering;
use super::operator::{ALWAYS, Class, Infer, InferError, Legal, Operator, in_training};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{Input, Labels, Param, Partners, Teacher};
use crate::ir::persistent::{Recipe, Role};
use crate::ir::types::{DType, Layout, Shape, TensorType};

impl Operator for Input {
    fn text(&self) -> String {
        "input".into()
    }

    fn title(&self) -> String {
        "images".into()
    }

    fn class(&self) -> Class {
        Class::Input
    }

    fn arity(&self) -> usize {
        0
    }

    fn infer(&self, _: Mode, _: &[&TensorType]) -> Infer {
        if self.shape.rank() != 4 {
            return Err(InferError::new(format!("the input has to be [n, c, h, w], is {}", self.shape)));
        }
        no_empty(&self.shape)?;
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}
}

impl Operator for Labels {
    fn text(&self) -> String {
        "labels".into()
    }

    fn title(&self) -> String {
        "labels".into()
    }

    fn class(&self) -> Class {
        Class::Input
    }

    fn arity(&self) -> usize {
        0
    }

    fn infer(&self, _: Mode, _: &[&TensorType]) -> Infer {
        Ok(vec![TensorType { shape: [self.batch].into(), dtype: DType::U32, layout: Layout::Plain }])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Built)
    }
}

impl Operator for Partners {
    fn text(&self) -> String {
        "partners".into()
    }

    fn title(&self) -> String {
        "partners".into()
    }

    fn class(&self) -> Class {
        Class::Input
    }

    fn arity(&self) -> usize {
        0
    }

    fn infer(&self, _: Mode, _: &[&TensorType]) -> Infer {
        let of = |dtype| TensorType { shape: [self.batch].into(), dtype, layout: Layout::Plain };
        Ok(vec![of(DType::U32), of(DType::F32)])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Built)
    }
}

impl Operator for Teacher {
    fn text(&self) -> String {
        "teacher".into()
    }

    fn title(&self) -> String {
        "teacher".into()
    }

    fn class(&self) -> Class {
        Class::Input
    }

    fn arity(&self) -> usize {
        0
    }

    fn infer(&self, _: Mode, _: &[&TensorType]) -> Infer {
        Ok(vec![TensorType::f32([self.batch, self.classes])])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Built)
    }
}

impl Operator for Param {
    fn text(&self) -> String {
        format!("param {} {}{}", self.role, self.init, self.recipe)
    }

    fn title(&self) -> String {
        "parameter".into()
    }

    fn class(&self) -> Class {
        Class::Input
    }

    fn arity(&self) -> usize {
        0
    }

    fn infer(&self, _: Mode, _: &[&TensorType]) -> Infer {
        no_empty(&self.shape)?;
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Ok(Vec::new())
    }

    fn lower(&self, _: &mut Lowering<'_>) {}

    fn legal(&self, _: Mode) -> Legal {
        ALWAYS
    }

    fn fault(&self, mode: Mode, stage: Stage) -> Option<String> {
        let early = self.recipe != Recipe::Own && (stage < Stage::Fused || mode == Mode::Train);
        early.then(|| "a folded recipe is legal in inference from stage fused on".to_owned())
    }

    fn makes_weight(&self) -> bool {
        matches!(self.role, Role::ConvWeight | Role::LinearWeight)
    }
}

fn no_empty(shape: &Shape) -> Result<(), InferError> {
    if shape.0.contains(&0) {
        return Err(
            InferError::new(format!("has no elements: {shape}")).help("every size has to be at least 1")
        );
    }
    Ok(())
}
