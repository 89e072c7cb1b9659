//! Batch normalisation (Ioffe and Szegedy 2015), its gradient, and what is left of it in inference.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, matrix};
use super::norm::{self, TENSORS};
use super::operator::{
    ALWAYS, Class, Infer, Legal, Operator, epilogue_flops, feature_map, in_training, like, mask_fault, out,
};
use super::words;
use crate::ir::attrs::Epilogue;
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{Affine, BatchNorm, BatchNormAgain, BatchNormBackward};
use crate::ir::persistent::Role;
use crate::ir::types::{Shape, TensorType};
use crate::plan::{BufferId, kernel};

/// With `g = dy * act'(y)`, `xhat = (x - mean) * rstd` and `m` values per channel:
/// `dshift = sum g`; `dscale = sum g * xhat`; `dx = scale * rstd * (g - dshift / m - xhat * dscale / m)`;
/// the residual's gradient is `g`.
impl Operator for BatchNorm {
    fn text(&self) -> String {
        match self.still {
            true => format!("batch_norm still eps={}{}", self.eps, self.epilogue),
            false => format!("batch_norm eps={} momentum={}{}", self.eps, self.momentum, self.epilogue),
        }
    }

    fn title(&self) -> String {
        format!("batch norm{}", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Norm
    }

    fn arity(&self) -> usize {
        5 + usize::from(self.epilogue.residual)
    }

    /// One result in inference; the map, the batch's mean and its reciprocal standard deviation in training.
    fn infer(&self, mode: Mode, operands: &[&TensorType]) -> Infer {
        let channels = norm::check_channels(operands, &TENSORS)?;
        norm::check_residual(&self.epilogue, operands)?;
        let y = like(operands[0], operands[0].shape.clone());
        Ok(match mode {
            Mode::Infer => vec![y],
            Mode::Train => vec![y, TensorType::f32(channels.clone()), TensorType::f32(channels)],
        })
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let epilogue = self.epilogue;
        let masks = if epilogue.recomputes_sign() { v.operands[2] } else { v.result(0) };
        let mut gradients = norm::gradients(v, BatchNormBackward { epilogue }, &epilogue, masks)?;
        // Operands: x, scale, shift, running mean, running variance [, residual].
        gradients.splice(3..3, [None, None]);
        Ok(gradients)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        assert_eq!(l.graph.mode, Mode::Train, "inference folds every batch normalisation");
        let (rows, channels) = matrix(l.shape(0));
        let buffers = l.operands();
        let (x, affine, running, residual) = (buffers[0], &buffers[1..3], &buffers[3..5], &buffers[5..]);
        if self.still {
            let [rstd, y] = [2, 0].map(|port| l.define(port));
            l.push(kernel::RunningRstd { channels, eps: self.eps }, vec![running[1]], vec![rstd]);
            let apply = kernel::BnApply { rows, channels, epilogue: self.epilogue };
            l.push(apply, [&[x, running[0], rstd], affine, residual].concat(), vec![y]);
            return;
        }
        let [mean, rstd, y] = [1, 2, 0].map(|port| l.define(port));
        let BatchNorm { eps, momentum, .. } = *self;
        if l.sync_bn() {
            let moments = ["batch_mean", "batch_var"].map(|part| l.scratch(part, 1)).to_vec();
            l.push(kernel::BnMoments { rows, channels }, vec![x], moments.clone());
            let share = l.plan.share();
            let combine = kernel::BnCombine { rows, channels, eps, momentum };
            l.push(combine, [&moments, running, &[share]].concat(), vec![mean, rstd]);
        } else {
            let stats = kernel::BnStats { rows, channels, eps, momentum };
            l.push(stats, [&[x], running].concat(), vec![mean, rstd]);
        }
        let apply = kernel::BnApply { rows, channels, epilogue: self.epilogue };
        l.push(apply, [&[x, mean, rstd], affine, residual].concat(), vec![y]);
    }

    fn legal(&self, mode: Mode) -> Legal {
        match mode {
            Mode::Infer => Some((Stage::Built, Stage::Expanded)),
            Mode::Train => ALWAYS,
        }
    }

    fn fault(&self, mode: Mode, _: Stage) -> Option<String> {
        mask_fault(&self.epilogue, mode)
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::NormScale), (2, Role::NormShift), (3, Role::RunningMean), (4, Role::RunningVar)]
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (norm::FLOPS + epilogue_flops(&self.epilogue))
    }
}

/// `y = act((x - mean) * rstd * scale + shift + residual)`.
impl Operator for BatchNormAgain {
    fn text(&self) -> String {
        format!("batch_norm_again{}", self.epilogue)
    }

    fn title(&self) -> String {
        format!("batch norm{} again", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        5 + usize::from(self.epilogue.residual)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        norm::check_channels(operands, &["the mean", "the deviation", TENSORS[0], TENSORS[1]])?;
        norm::check_residual(&self.epilogue, operands)?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, channels) = matrix(l.shape(0));
        l.step(kernel::BnApply { rows, channels, epilogue: self.epilogue });
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
        vec![(3, Role::NormScale), (4, Role::NormShift)]
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (2 + epilogue_flops(&self.epilogue))
    }
}

/// `dy, x, mean, rstd, scale [, shift | , y]` to `dx, dscale, dshift [, dresidual]`; statistics are per channel.
impl Operator for BatchNormBackward {
    fn text(&self) -> String {
        format!("batch_norm_backward{}", self.epilogue)
    }

    fn title(&self) -> String {
        format!("batch norm{} ∂", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        5 + usize::from(self.epilogue.act.is_some())
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [_, c, _, _] = feature_map(operands, 0)?;
        norm::infer_backward(operands, &Shape::from([c]), &self.epilogue, self.epilogue.recomputes_sign())
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let epilogue = self.epilogue;
        let (rows, channels) = matrix(l.shape(0));
        let buffers = l.operands();
        // What an activation is undone by: the result, or the shift.
        let (map, scale, masks) = (&buffers[..4], buffers[4], &buffers[5..]);
        let sums = [1, 2].map(|port| l.define(port));
        let affine: &[_] = if epilogue.recomputes_sign() { &[scale] } else { &[] };
        let reduce = kernel::BnBackwardReduce { rows, channels, epilogue };
        l.push(reduce, [map, affine, masks].concat(), sums.to_vec());
        // The parameters' own gradients stay the rank's: they are summed with all others.
        let sums = if l.sync_bn() { combined(l, channels, sums) } else { sums };
        let inputs = [map, &[scale], &sums, masks].concat();
        norm::lower_apply(l, kernel::BnBackwardApply { rows, channels, epilogue }, inputs, &epilogue);
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
        let shift = self.epilogue.recomputes_sign().then_some((5, Role::NormShift));
        [(4, Role::NormScale)].into_iter().chain(shift).collect()
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * norm::backward_flops(&self.epilogue)
    }
}

/// Adds the sums over all ranks, of the sums of one.
fn combined(l: &mut Lowering<'_>, channels: usize, [dscale, dshift]: [BufferId; 2]) -> [BufferId; 2] {
    let all = ["all_dscale", "all_dshift"].map(|part| l.scratch(part, 4));
    let inputs = vec![dscale, dshift, l.plan.share()];
    l.push(kernel::BnCombineSums { channels }, inputs, all.to_vec());
    all
}

impl Operator for Affine {
    fn text(&self) -> String {
        format!("affine{}", self.epilogue)
    }

    fn title(&self) -> String {
        format!("scale + shift{}", words::tail(&self.epilogue))
    }

    fn class(&self) -> Class {
        Class::Norm
    }

    fn arity(&self) -> usize {
        3 + usize::from(self.epilogue.residual)
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        norm::check_channels(operands, &TENSORS[..2])?;
        norm::check_residual(&self.epilogue, operands)?;
        Ok(vec![like(operands[0], operands[0].shape.clone())])
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Err("`affine` exists in inference only".to_owned())
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, channels) = matrix(l.shape(0));
        l.step(kernel::Affine { rows, channels, epilogue: self.epilogue });
    }

    fn legal(&self, mode: Mode) -> Legal {
        (mode == Mode::Infer).then_some((Stage::Fused, Stage::LaidOut))
    }

    fn epilogue(&self) -> Epilogue {
        self.epilogue
    }

    fn params(&self) -> Vec<(usize, Role)> {
        vec![(1, Role::NormScale), (2, Role::NormShift)]
    }

    fn elementwise(&self, _: &[&TensorType], results: &[TensorType]) -> u64 {
        out(results) * (2 + epilogue_flops(&self.epilogue))
    }
}
