//! Products of two values, or of a map and its gate.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, image_sizes};
use super::operator::{
    Class, Infer, InferError, Legal, Operator, epilogue_flops, first, in_training, like, mask_fault, out,
    same_shape,
};
use super::words;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage, Value};
use crate::ir::op::{Mul, MulBackward};
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// With `g = dy * act'(y)`: `da = g * b`, `db = g * a`, each summed over the image where it is the gate's; the residual's
/// gradient is `g`.
impl Operator for Mul {
    fn text(&self) -> String {
        format!("mul{}", self.epilogue)
    }

    fn title(&self) -> String {
        format!("multiply{}", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        2 + usize::from(self.epilogue.residual)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let map = map_of(operands[0], operands[1])?;
        if self.epilogue.residual {
            same_shape(operands, 2, &map.shape, "the residual")?;
        }
        Ok(vec![like(map, map.shape.clone())])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, Epilogue { residual, act }) = (v.dy()?, self.epilogue);
        let mut inputs = vec![dy, v.operands[0], v.operands[1]];
        inputs.extend(act.map(|_| v.result(0)));
        let masked = Epilogue { residual: residual && act.is_some(), act };
        let factors: Vec<usize> = (0..2).filter(|&i| v.wants(i)).collect();
        let wanted: Vec<usize> = (0..v.operands.len()).filter(|&i| v.wants(i)).collect();
        if factors.is_empty() && !masked.residual {
            return Ok(vec![None, None, Some(dy)]);
        }
        let da = v.emit(&wanted, MulBackward { epilogue: masked }, &inputs);
        let port = |i: usize| v.wants(i).then_some(Value { port: i as u8, ..da });
        let mut gradients = vec![port(0), port(1)];
        if residual {
            gradients.push(if masked.residual { port(2) } else { v.wants(2).then_some(dy) });
        }
        Ok(gradients)
    }

    /// The kernel takes the gate behind the map, whatever their order in the graph.
    fn lower(&self, l: &mut Lowering<'_>) {
        let mut inputs = l.operands();
        let gate = gate_of(l.shape(0), l.shape(1));
        if gate == Some(0) {
            inputs.swap(0, 1);
        }
        let [images, pixels, channels] = image_sizes(l.result());
        let y = l.define(0);
        let kernel = kernel::Mul { images, pixels, channels, gate: gate.is_some(), epilogue: self.epilogue };
        l.push(kernel, inputs, vec![y]);
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        mask_fault(&self.epilogue, mode)
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (1 + epilogue_flops(&self.epilogue))
    }
}

impl Operator for MulBackward {
    fn text(&self) -> String {
        format!("mul_backward{}", self.epilogue)
    }

    fn title(&self) -> String {
        format!("multiply{} ∂", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        3 + usize::from(self.epilogue.act.is_some())
    }

    /// `dy, a, b [, y]` to `da, db [, dresidual]`.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let Epilogue { residual, act } = self.epilogue;
        if residual && act.is_none() {
            return Err(InferError::new("without an activation the residual's gradient is the result's"));
        }
        let map = map_of(operands[1], operands[2])
            .map_err(|e| InferError { operand: e.operand.map(|i| i + 1), ..e })?;
        same_shape(operands, 0, &map.shape, "the gradient")?;
        if act.is_some() {
            same_shape(operands, 3, &map.shape, "the forward result")?;
        }
        let of = |ty: &TensorType| like(operands[0], ty.shape.clone());
        let mut types = vec![of(operands[1]), of(operands[2])];
        types.extend(residual.then(|| of(map)));
        Ok(types)
    }

    /// As the forward product; the gate's gradient is the kernel's second result.
    fn lower(&self, l: &mut Lowering<'_>) {
        let mut inputs = l.operands();
        let mut outputs: Vec<_> = (0..l.results()).map(|port| l.define(port)).collect();
        let gate = gate_of(l.shape(1), l.shape(2));
        if gate == Some(0) {
            inputs.swap(1, 2);
            outputs.swap(0, 1);
        }
        let [images, pixels, channels] = image_sizes(l.shape(0));
        let epilogue = self.epilogue;
        let kernel = kernel::MulBackward { images, pixels, channels, gate: gate.is_some(), epilogue };
        l.push(kernel, inputs, outputs);
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        mask_fault(&self.epilogue, mode)
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    /// Two products and the gate's sum, or two products; mask: 1.
    fn elementwise(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        first(operands) * (3 + u64::from(self.epilogue.act.is_some()))
    }
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

/// The larger factor, whose shape the product has.
fn map_of<'t>(a: &'t TensorType, b: &'t TensorType) -> Result<&'t TensorType, InferError> {
    let map = match gate_of(&a.shape, &b.shape) {
        Some(0) => b,
        Some(_) => a,
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
    Ok(map)
}
