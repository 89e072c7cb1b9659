//! Group normalisation (Wu and He 2018) and its gradient.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, group_geometry};
use super::norm::{self, TENSORS};
use super::operator::{
    Class, Infer, Legal, Operator, epilogue_flops, feature_map, in_training, like, mask_fault, out,
};
use super::words;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{GroupNorm, GroupNormBackward};
use crate::ir::persistent::Role;
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// With `g = dy * act'(y)`, `xhat = (x - mean) * rstd`, `s = scale * g` and means over each group of each image:
/// `dshift = sum g`; `dscale = sum g * xhat`; `dx = rstd * (s - mean(s) - xhat * mean(s * xhat))`; the residual's gradient
/// is `g`.
impl Operator for GroupNorm {
    fn text(&self) -> String {
        format!("group_norm g{} eps={}{}", self.groups, self.eps, self.epilogue)
    }

    fn title(&self) -> String {
        format!("group norm {}{}", self.groups, words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Norm
    }

    fn arity(&self) -> usize {
        3 + usize::from(self.epilogue.residual)
    }

    /// The map, and mean and reciprocal standard deviation of every group of every image.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        norm::check_channels(operands, &TENSORS[..2])?;
        norm::check_residual(&self.epilogue, operands)?;
        let [n, c, _, _] = feature_map(operands, 0)?;
        norm::check_groups(self.groups, c)?;
        let statistic = TensorType::f32([n, self.groups]);
        Ok(vec![like(operands[0], operands[0].shape.clone()), statistic.clone(), statistic])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (y, epilogue) = (v.result(0), self.epilogue);
        norm::gradients(v, GroupNormBackward { groups: self.groups, epilogue }, &epilogue, y)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = group_geometry(l.shape(0), self.groups);
        let buffers = l.operands();
        let [mean, rstd, y] = [1, 2, 0].map(|port| l.define(port));
        l.push(kernel::GroupStats { geometry, eps: self.eps }, vec![buffers[0]], vec![mean, rstd]);
        let inputs = [&[buffers[0], mean, rstd], &buffers[1..]].concat();
        l.push(kernel::GroupApply { geometry, epilogue: self.epilogue }, inputs, vec![y]);
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        mask_fault(&self.epilogue, mode)
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::NormScale), (2, Role::NormShift)]
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (norm::FLOPS + epilogue_flops(&self.epilogue))
    }
}

/// `dy, x, mean, rstd, scale [, y]` to `dx, dscale, dshift [, dresidual]`; statistics are per image and group.
impl Operator for GroupNormBackward {
    fn text(&self) -> String {
        format!("group_norm_backward g{}{}", self.groups, self.epilogue)
    }

    fn title(&self) -> String {
        format!("group norm {}{} ∂", self.groups, words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        5 + usize::from(self.epilogue.act.is_some())
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [n, c, _, _] = feature_map(operands, 0)?;
        norm::check_groups(self.groups, c)?;
        norm::infer_backward(operands, &Shape::from([n, self.groups]), &self.epilogue, false)
    }

    /// Between the two passes lie two sums of every group, which are no results.
    fn lower(&self, l: &mut Lowering<'_>) {
        let epilogue = self.epilogue;
        let geometry = group_geometry(l.shape(0), self.groups);
        let buffers = l.operands();
        let (own, y) = (&buffers[..5], &buffers[5..]);
        let sums = ["slope", "offset"].map(|sum| l.scratch(sum, 2));
        let gradients = [1, 2].map(|port| l.define(port));
        let reduce = kernel::GroupBackwardReduce { geometry, act: epilogue.act };
        l.push(reduce, [own, y].concat(), [gradients, sums].concat());
        let inputs = [own, &sums, y].concat();
        norm::lower_apply(l, kernel::GroupBackwardApply { geometry, epilogue }, inputs, &epilogue);
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

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(4, Role::NormScale)]
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * norm::backward_flops(&self.epilogue)
    }
}
