//! Elementwise sums.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, count};
use super::operator::{Class, Infer, InferError, Operator, like, out};
use super::words;
use crate::ir::activation::GradFrom;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{ActivateBackward, Add};
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `da = db = dy`, after the activation's gradient where there is one.
impl Operator for Add {
    fn text(&self) -> String {
        format!("add{}", self.epilogue())
    }

    fn title(&self) -> String {
        format!("add{}", words::tail(&self.epilogue()))
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let (a, b) = (operands[0], operands[1]);
        if a.shape != b.shape {
            let message = format!("cannot add {} and {}", a.shape, b.shape);
            return Err(InferError::new(message).at(1).help(difference(a, b)));
        }
        if a.dtype != b.dtype {
            return Err(InferError::new(format!("cannot add {} and {}", a.dtype, b.dtype)).at(1));
        }
        Ok(vec![like(a, a.shape.clone())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let mut dy = v.dy()?;
        if let Some(act) = self.act {
            let y = v.result(0);
            dy = v.emit(&[0, 1], ActivateBackward { act }, &[dy, y]);
        }
        Ok((0..2).map(|i| v.wants(i).then_some(dy)).collect())
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::Add { len: count(l.result()), act: self.act });
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        let act = self.act.filter(|act| mode == Mode::Train && act.grad_from() == GradFrom::Input)?;
        Some(format!("{act} cannot be in a sum in training: its gradient needs the sum"))
    }

    fn epilogue(&self) -> Epilogue {
        Epilogue { residual: false, act: self.act }
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (1 + u64::from(self.act.is_some()))
    }
}

fn difference(a: &TensorType, b: &TensorType) -> String {
    match (a.shape.nchw(), b.shape.nchw()) {
        (Some([_, ca, ha, wa]), Some([_, cb, hb, wb])) if ca != cb && [ha, wa] == [hb, wb] => {
            format!("the channels differ: {ca} and {cb}")
        }
        (Some([_, _, ha, wa]), Some([_, _, hb, wb])) if [ha, wa] != [hb, wb] => {
            format!("the images differ: {ha}x{wa} and {hb}x{wb}; is a stride missing on one branch?")
        }
        _ => "both branches have to end in the same shape".to_owned(),
    }
}
