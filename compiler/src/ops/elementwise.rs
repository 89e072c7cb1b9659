//! Arithmetic on values: sums, products, products with gates, multiples.

use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, like, same_shape};
use crate::ir::graph::Value;
use crate::ir::op::{Activation, Epilogue, Op};
use crate::ir::types::{Shape, TensorType};

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

/// Which of two factors is a gate `[n, c, 1, 1]` of the other, a map `[n, c, h, w]`; `None` where their shapes are the
/// same, or do not fit.
pub fn gate_of(a: &Shape, b: &Shape) -> Option<usize> {
    let gates = |map: &Shape, gate: &Shape| {
        let (Some([n, c, _, _]), Some([gn, gc, 1, 1])) = (map.nchw(), gate.nchw()) else { return false };
        [n, c] == [gn, gc]
    };
    match (a == b, gates(a, b), gates(b, a)) {
        (true, _, _) | (false, false, false) => None,
        (false, true, _) => Some(1),
        (false, false, true) => Some(0),
    }
}

/// Of the larger factor's shape.
pub(super) fn infer_mul(epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    let (a, b) = (operands[0], operands[1]);
    let map = match gate_of(&a.shape, &b.shape) {
        Some(gate) => operands[1 - gate],
        None if a.shape == b.shape => a,
        None => {
            let message = format!("cannot multiply {} and {}", a.shape, b.shape);
            let help = "factors have one shape, or one is the other's gate, of one pixel per channel";
            return Err(InferError::new(message).at(1).help(help));
        }
    };
    if a.dtype != b.dtype {
        return Err(InferError::new(format!("cannot multiply {} and {}", a.dtype, b.dtype)).at(1));
    }
    if epilogue.residual {
        same_shape(operands, 2, &map.shape, "the residual")?;
    }
    Ok(vec![like(map, map.shape.clone())])
}

/// With `g = dy * act'(y)`: `da = g * b`, `db = g * a`, each summed over the image where it is the gate's; the residual's
/// gradient is `g`.
pub(super) fn vjp_mul(v: &mut Vjp<'_>, epilogue: &Epilogue) -> Gradients {
    let dy = v.dy()?;
    let mut inputs = vec![dy, v.operands[0], v.operands[1]];
    inputs.extend(epilogue.act.map(|_| v.result(0)));
    let masked = Epilogue { residual: epilogue.residual && epilogue.act.is_some(), act: epilogue.act };
    let factors: Vec<usize> = (0..2).filter(|&i| v.wants(i)).collect();
    let wanted: Vec<usize> = (0..v.operands.len()).filter(|&i| v.wants(i)).collect();
    if factors.is_empty() && !masked.residual {
        return Ok(vec![None, None, Some(dy)]);
    }
    let da = v.emit(&wanted, Op::MulBackward { epilogue: masked }, &inputs);
    let port = |i: usize| v.wants(i).then_some(Value { port: i as u8, ..da });
    let mut gradients = vec![port(0), port(1)];
    if epilogue.residual {
        gradients.push(if masked.residual { port(2) } else { v.wants(2).then_some(dy) });
    }
    Ok(gradients)
}

/// `dy, a, b [, y]` to `da, db [, dresidual]`.
pub(super) fn infer_mul_backward(epilogue: &Epilogue, operands: &[&TensorType]) -> Infer {
    if epilogue.residual && epilogue.act.is_none() {
        return Err(InferError::new("without an activation the residual's gradient is the result's"));
    }
    let map = &infer_mul(&Epilogue::default(), &operands[1..3])
        .map_err(|e| InferError { operand: e.operand.map(|i| i + 1), ..e })?[0];
    same_shape(operands, 0, &map.shape, "the gradient")?;
    if epilogue.act.is_some() {
        same_shape(operands, 3, &map.shape, "the forward result")?;
    }
    let mut types =
        vec![like(operands[0], operands[1].shape.clone()), like(operands[0], operands[2].shape.clone())];
    types.extend(epilogue.residual.then(|| like(operands[0], map.shape.clone())));
    Ok(types)
}

/// `dx = scale * dy`.
pub(super) fn vjp_scale_shift(v: &mut Vjp<'_>, scale: f32) -> Gradients {
    let dy = v.dy()?;
    if scale == 1.0 {
        return Ok(vec![v.wants(0).then_some(dy)]);
    }
    Ok(vec![v.emit_if_wanted(0, || Op::ScaleShift { scale, shift: 0.0 }, &[dy])])
}
