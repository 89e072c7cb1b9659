//! The linear layer and its gradients.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, linear_geometry};
use super::operator::{Class, Infer, InferError, Legal, Operator, in_training, like, numel, out, same_shape};
use super::window::with_bias;
use super::words;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{ChannelSum, Linear, LinearBackwardData, LinearBackwardFilter};
use crate::ir::persistent::Role;
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// `dx = dy * w`; `dw = dy^T * x`; `db = sum of dy over images`.
impl Operator for Linear {
    fn text(&self) -> String {
        format!("linear{}", words::flag(self.bias, "bias"))
    }

    fn title(&self) -> String {
        format!("linear{}", words::part(self.bias, "bias"))
    }

    fn class(&self) -> Class {
        Class::Head
    }

    fn arity(&self) -> usize {
        2 + usize::from(self.bias)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let y = output(operands[0], operands[1])?;
        if self.bias {
            same_shape(operands, 2, &Shape::from([y.0[1]]), "the bias")?;
        }
        Ok(vec![like(operands[0], y)])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, x, weight, input) = (v.dy()?, v.operands[0], v.operands[1], v.shape(0));
        let dx = v.emit_if_wanted(0, LinearBackwardData { input }, &[dy, weight]);
        let dw = v.emit_if_wanted(1, LinearBackwardFilter, &[x, dy]);
        let mut gradients = vec![dx, dw];
        if self.bias {
            gradients.push(v.emit_if_wanted(2, ChannelSum, &[dy]));
        }
        Ok(gradients)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = linear_geometry(l.shape(1), l.batch(), l.precision());
        l.step(kernel::Conv { geometry, bias: self.bias, epilogue: Epilogue::default() });
    }

    fn params(&self) -> Vec<(usize, Role)> {
        with_bias(Role::LinearWeight, self.bias)
    }

    fn macs(&self, operands: &[&TensorType], results: &[TensorType]) -> u64 {
        macs(operands[1], &results[0])
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * u64::from(self.bias)
    }
}

impl Operator for LinearBackwardData {
    fn text(&self) -> String {
        "linear_backward_data".into()
    }

    fn title(&self) -> String {
        "linear ∂data".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let dx = like(operands[0], self.input.clone());
        same_shape(operands, 0, &output(&dx, operands[1])?, "the gradient")?;
        Ok(vec![dx])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = linear_geometry(l.shape(1), l.batch(), l.precision());
        l.step(kernel::ConvBackwardData { geometry, residual: false });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::LinearWeight)]
    }

    fn macs(&self, operands: &[&TensorType], _: &[TensorType]) -> u64 {
        macs(operands[1], operands[0])
    }
}

impl Operator for LinearBackwardFilter {
    fn text(&self) -> String {
        "linear_backward_filter".into()
    }

    fn title(&self) -> String {
        "linear ∂filter".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [n, features] = rows(operands[0]).map_err(|error| error.at(0))?;
        let [m, out] = rows(operands[1]).map_err(|error| error.at(1))?;
        if n != m {
            return Err(InferError::new(format!("the gradient has {m} rows, the input {n}")).at(1));
        }
        Ok(vec![TensorType::f32([out, features])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = linear_geometry(l.result(), l.batch(), l.precision());
        l.step(kernel::ConvBackwardFilter { geometry });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }

    fn makes_weight(&self) -> bool {
        true
    }

    fn macs(&self, operands: &[&TensorType], results: &[TensorType]) -> u64 {
        macs(&results[0], operands[1])
    }
}

/// `[n, out]` of an input and a weight `[out, in]`.
fn output(x: &TensorType, weight: &TensorType) -> Result<Shape, InferError> {
    let [n, features] = rows(x).map_err(|error| error.at(0))?;
    let &[out, inputs] = weight.shape.0.as_slice() else {
        return Err(InferError::new(format!("the weight has shape {}, needs [out, in]", weight.shape)).at(1));
    };
    if inputs != features {
        let message = format!("the weight takes {inputs} features, the input has {features}");
        return Err(InferError::new(message).at(0));
    }
    Ok(Shape::from([n, out]))
}

/// `[n, features]` of a matrix or of maps of one pixel.
fn rows(ty: &TensorType) -> Result<[usize; 2], InferError> {
    match ty.shape.0.as_slice() {
        &[n, features] | &[n, features, 1, 1] => Ok([n, features]),
        _ => {
            let message = format!("needs one vector per image, gets {}", ty.shape);
            Err(InferError::new(message).help("put `global_avgpool` before it"))
        }
    }
}

/// Multiply-accumulates: `in` of them for each output.
fn macs(weight: &TensorType, y: &TensorType) -> u64 {
    numel(y).saturating_mul(weight.shape.0[1] as u64)
}
