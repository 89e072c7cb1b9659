//! Arithmetic on two values of one shape.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like};
use crate::ir::op::{Activation, Op};
use crate::ir::types::TensorType;

pub(super) fn infer_add(operands: &[&TensorType]) -> Infer {
    let (a, b) = (operands[0], operands[1]);
    if a.shape != b.shape {
        let help = match (a.shape.nchw(), b.shape.nchw()) {
            (Some([_, ca, ha, wa]), Some([_, cb, hb, wb])) if ca != cb && [ha, wa] == [hb, wb] => {
                format!("the channels differ: {ca} and {cb}")
            }
            (Some([_, _, ha, wa]), Some([_, _, hb, wb])) if [ha, wa] != [hb, wb] => {
                format!("the images differ: {ha}x{wa} and {hb}x{wb}; is a stride missing on one branch?")
            }
            _ => "both branches have to end in the same shape".to_owned(),
        };
        return Err(InferError::new(format!("cannot add {} and {}", a.shape, b.shape)).at(1).help(help));
    }
    if a.dtype != b.dtype {
        return Err(InferError::new(format!("cannot add {} and {}", a.dtype, b.dtype)).at(1));
    }
    Ok(vec![like(a, a.shape.clone())])
}

/// `da = db = dy`, after the activation's gradient where there is one.
pub(super) fn vjp_add(v: &mut Vjp<'_>, act: Option<Activation>) -> Gradients {
    let mut dy = v.dy()?;
    if let Some(act) = act {
        let y = v.result(0);
        dy = v.emit(&[0, 1], Op::ActivateBackward { act }, &[dy, y]);
    }
    Ok((0..2).map(|i| v.wants(i).then_some(dy)).collect())
}
