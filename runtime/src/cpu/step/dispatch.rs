//! From a step of the plan to the call of its kernel.

use resnetc_compiler::ir::op::{Epilogue, UpdateRule};
use resnetc_compiler::plan::Kernel;
use resnetc_compiler::plan::kernel::{BnMoments, BnStats, Update};

use super::operands::Operands;
use crate::cpu::Ctx;
use crate::cpu::maps::sum_flat_scratch_len;
use crate::cpu::memory::Src;
use crate::cpu::norm::group::GroupNorm;
use crate::cpu::norm::group_backward::GroupSumsOut;
use crate::cpu::norm::stats::{StatsAttrs, StatsOut};
use crate::cpu::norm::{BnMask, Gradients, MaskBy, Norm, Sums, group, group_backward, stats};
use crate::cpu::pointwise::product::ProductGradients;
use crate::cpu::pointwise::{
    accumulate, average, clip, concat, drop, elementwise, loss, loss_scale, product, shortcut, target_loss,
    update,
};
use crate::cpu::pooling::{blur, global_average, global_max};
use crate::cpu::simd::Element;
use crate::cpu::{norm, pooling, ranks};
use crate::random::Key;
use crate::ranks::Collective;

/// By what a batch normalisation's gradient undoes the activation: the input of that computed anew, or its result.
fn bn_mask<'a, E: Element>(epilogue: Epilogue, o: &Operands<'a>) -> Option<BnMask<'a, E>> {
    let act = epilogue.act?;
    let by = match epilogue.recomputes_sign() {
        true => MaskBy::Input(["scale", "shift"].map(|name| o.input(name))),
        false => MaskBy::Result(o.input("y")),
    };
    Some(BnMask { act, by })
}

/// Floats of scratch memory that a kernel needs on this many threads.
pub(super) fn scratch_len(kernel: &Kernel, threads: usize) -> usize {
    match kernel {
        Kernel::ChannelSum(k) => stats::channel_sum_scratch_len(k.channels, threads),
        Kernel::BnStats(BnStats { channels, .. }) | Kernel::BnMoments(BnMoments { channels, .. }) => {
            stats::bn_stats_scratch_len(*channels, threads)
        }
        Kernel::BnBackwardReduce(k) => stats::bn_backward_reduce_scratch_len(k.channels, threads),
        Kernel::GroupStats(k) => group::group_stats_scratch_len(&k.geometry, threads),
        Kernel::GroupApply(k) => group::group_apply_scratch_len(&k.geometry, threads),
        Kernel::GroupBackwardReduce(k) => {
            group_backward::group_backward_reduce_scratch_len(&k.geometry, threads)
        }
        Kernel::GroupBackwardApply(k) => {
            group_backward::group_backward_apply_scratch_len(&k.geometry, threads)
        }
        Kernel::Drop(k) => drop::drop_scratch_len(&k.geometry, k.part),
        Kernel::Update(Update { matrix: Some(matrix), .. }) => update::muon_scratch_len(matrix, threads),
        Kernel::Update(k) if k.rule.per_tensor() => sum_flat_scratch_len(threads),
        Kernel::ClipGradients(_) => sum_flat_scratch_len(threads),
        Kernel::CrossEntropy(_) | Kernel::TargetLoss(_) => loss::cross_entropy_scratch_len(threads),
        _ => 0,
    }
}

/// Runs a step that has nothing prepared.
pub(super) fn run(ctx: &Ctx<'_>, ranks: Option<&Collective>, o: &Operands<'_>) {
    if o.is_narrow() { run_stored::<u16>(ctx, ranks, o) } else { run_stored::<f32>(ctx, ranks, o) }
}

/// Runs a step whose maps consist of `E`, those that may be stored as bf16: such kernels have one group of them.
fn run_stored<E: Element>(ctx: &Ctx<'_>, with: Option<&Collective>, o: &Operands<'_>) {
    match o.kernel() {
        kernel @ (Kernel::Conv(_) | Kernel::ConvBackwardData(_) | Kernel::ConvBackwardFilter(_)) => {
            unreachable!("{kernel:?} is prepared when its plan is loaded")
        }
        Kernel::ChannelSum(k) => stats::channel_sum::<E>(ctx, k.rows, o.input("dy"), o.output("db")),
        Kernel::BnStats(k) => {
            let [running_mean, running_var] = ["running_mean", "running_var"].map(|name| o.update(name));
            let [mean, rstd] = ["mean", "rstd"].map(|name| o.output(name));
            let out = StatsOut { running_mean, running_var, mean, rstd };
            let attrs = StatsAttrs { eps: k.eps, momentum: k.momentum };
            stats::bn_stats::<E>(ctx, k.rows, attrs, o.rows("x"), out);
        }
        Kernel::BnMoments(k) => {
            stats::bn_moments::<E>(
                ctx,
                k.rows,
                o.rows("x"),
                ["batch_mean", "batch_var"].map(|name| o.output(name)),
            );
        }
        Kernel::BnCombine(k) => {
            let moments = ["batch_mean", "batch_var"].map(|name| o.input(name));
            let [running_mean, running_var] = ["running_mean", "running_var"].map(|name| o.update(name));
            let [mean, rstd] = ["mean", "rstd"].map(|name| o.output(name));
            let out = StatsOut { running_mean, running_var, mean, rstd };
            let attrs = StatsAttrs { eps: k.eps, momentum: k.momentum };
            ranks::bn_combine(with, k.rows, o.value("share"), attrs, moments, out);
        }
        Kernel::BnCombineSums(_) => {
            let sums = ["dscale", "dshift"].map(|name| o.input(name));
            let all = ["all_dscale", "all_dshift"].map(|name| o.output(name));
            ranks::bn_combine_sums(with, o.value("share"), sums, all);
        }
        Kernel::BnApply(k) => {
            let (residual, y) = (o.optional("residual"), o.output("y"));
            let (x, shift) = (o.rows("x"), o.input("shift"));
            norm::bn_apply::<E>(ctx, k.rows, k.epilogue, x, bn_norm(o), shift, residual, y);
        }
        Kernel::BnBackwardReduce(k) => {
            let statistics = ["mean", "rstd"].map(|name| o.input(name));
            let (mask, out) = (bn_mask(k.epilogue, o), ["dscale", "dshift"].map(|name| o.output(name)));
            stats::bn_backward_reduce::<E>(ctx, k.rows, o.input("dy"), o.rows("x"), statistics, mask, out);
        }
        Kernel::BnBackwardApply(k) => {
            let sums = Sums { dscale: o.input("dscale"), dshift: o.input("dshift") };
            let (mask, out, dy) = (bn_mask(k.epilogue, o), gradients(o), o.input("dy"));
            norm::bn_backward_apply::<E>(ctx, k.rows, dy, o.rows("x"), bn_norm(o), sums, mask, out);
        }
        Kernel::GroupStats(k) => {
            let out = ["mean", "rstd"].map(|name| o.output(name));
            group::group_stats::<E>(ctx, &k.geometry, k.eps, o.rows("x"), out);
        }
        Kernel::GroupApply(k) => {
            let (residual, y) = (o.optional("residual"), o.output("y"));
            let (x, shift) = (o.rows("x"), o.input("shift"));
            let (g, epilogue) = (&k.geometry, k.epilogue);
            group::group_apply::<E>(ctx, g, epilogue, x, groups(o), shift, residual, y);
        }
        Kernel::GroupBackwardReduce(k) => {
            let [dscale, dshift, slope, offset] =
                ["dscale", "dshift", "slope", "offset"].map(|name| o.output(name));
            let out = GroupSumsOut { dscale, dshift, slope, offset };
            let (dy, x, mask) = (o.input("dy"), o.rows("x"), k.act.zip(o.optional("y")));
            group_backward::group_backward_reduce::<E>(ctx, &k.geometry, dy, x, groups(o), mask, out);
        }
        Kernel::GroupBackwardApply(k) => {
            let sums = ["slope", "offset"].map(|name| o.input(name));
            let (dy, x, mask) = (o.input("dy"), o.rows("x"), k.epilogue.act.zip(o.optional("y")));
            let (g, out) = (&k.geometry, gradients(o));
            group_backward::group_backward_apply::<E>(ctx, g, dy, x, groups(o), sums, mask, out);
        }
        Kernel::Affine(k) => {
            let ([scale, shift], residual) =
                (["scale", "shift"].map(|name| o.input(name)), o.optional("residual"));
            let (x, y, gap) = (o.rows("x"), o.output("y"), o.output_gap("y"));
            norm::affine::<E>(ctx, k.rows, k.epilogue, x, [scale, shift], residual, y, gap);
        }
        Kernel::Activate(k) => elementwise::activate::<E>(ctx, k.act, o.input("x"), o.output("y")),
        Kernel::ActivateBackward(k) => {
            elementwise::activate_backward::<E>(ctx, k.act, o.input("dy"), o.input("saved"), o.output("dx"));
        }
        Kernel::Add(k) => {
            let terms = ["a", "b"].map(|name| o.rows(name));
            elementwise::add::<E>(ctx, k.act, o.matrix(k.len), terms, o.output("y"));
        }
        Kernel::Mul(k) => {
            let (residual, y) = (o.optional("residual"), o.output("y"));
            if k.gate {
                let size = [k.images, k.pixels, k.channels];
                product::gate::<E>(ctx, size, k.epilogue, (o.input("a"), o.input("b")), residual, y);
            } else {
                product::mul::<E>(ctx, k.epilogue, ["a", "b"].map(|name| o.input(name)), residual, y);
            }
        }
        Kernel::MulBackward(k) => {
            let (dy, mask) = (o.input("dy"), k.epilogue.act.zip(o.optional("y")));
            let (da, dresidual) = (o.output("da"), o.optional_output("dresidual"));
            if k.gate {
                let size = [k.images, k.pixels, k.channels];
                let out = ProductGradients { da, db: o.output("db"), dresidual };
                product::gate_backward::<E>(ctx, size, dy, (o.input("a"), o.input("b")), mask, out);
            } else {
                let out = ProductGradients { da, db: o.output("db"), dresidual };
                product::mul_backward::<E>(ctx, dy, ["a", "b"].map(|name| o.input(name)), mask, out);
            }
        }
        Kernel::Drop(k) => {
            let key = Key::new(o.value("seed"), o.value("step"), k.stream);
            drop::drop::<E>(ctx, &k.geometry, k.part, k.rate, key, o.input("x"), o.output("y"));
        }
        Kernel::ScaleShift(k) => {
            elementwise::scale_shift::<E>(ctx, [k.scale, k.shift], o.input("x"), o.output("y"));
        }
        Kernel::MaxPool(k) => {
            let (y, gap, positions) = (o.output("y"), o.output_gap("y"), o.optional_output("positions"));
            pooling::max_pool::<E>(ctx, &k.geometry, o.input("x"), y, gap, positions);
        }
        Kernel::MaxPoolBackward(k) => {
            let (dy, positions) = (o.input("dy"), o.input("positions"));
            pooling::max_pool_backward::<E>(ctx, &k.geometry, dy, positions, o.output("dx"));
        }
        Kernel::AvgPool(k) => {
            let (y, gap) = (o.output("y"), o.output_gap("y"));
            pooling::avg_pool::<E>(ctx, &k.geometry, o.input("x"), y, gap);
        }
        Kernel::AvgPoolBackward(k) => {
            pooling::avg_pool_backward::<E>(ctx, &k.geometry, o.input("dy"), o.output("dx"));
        }
        Kernel::GlobalAvgPool(k) => {
            let size = [k.images, k.pixels, k.channels];
            global_average::global_avg_pool::<E>(ctx, size, o.input("x"), o.output("y"));
        }
        Kernel::GlobalAvgPoolBackward(k) => {
            let size = [k.images, k.pixels, k.channels];
            global_average::global_avg_pool_backward::<E>(ctx, size, o.input("dy"), o.output("dx"));
        }
        Kernel::GlobalMaxPool(k) => {
            let (size, positions) = ([k.images, k.pixels, k.channels], o.optional_output("positions"));
            global_max::global_max_pool::<E>(ctx, size, o.input("x"), o.output("y"), positions);
        }
        Kernel::GlobalMaxPoolBackward(k) => {
            let (size, positions) = ([k.images, k.pixels, k.channels], o.input("positions"));
            global_max::global_max_pool_backward::<E>(ctx, size, o.input("dy"), positions, o.output("dx"));
        }
        Kernel::BlurPool(k) => blur::blur_pool::<E>(ctx, &k.geometry, o.input("x"), o.output("y")),
        Kernel::BlurPoolBackward(k) => {
            blur::blur_pool_backward::<E>(ctx, &k.geometry, o.input("dy"), o.output("dx"));
        }
        Kernel::Concat(k) => run_concat(ctx, k.rows, &k.channels, o),
        Kernel::ChannelSlice(k) => {
            let taken = k.start..k.start + k.taken;
            concat::slice(ctx, [k.rows, k.channels], taken, o.input("x"), o.output("y"));
        }
        Kernel::PadShortcut(k) => shortcut::pad::<E>(ctx, &k.geometry, o.input("x"), o.output("y")),
        Kernel::PadShortcutBackward(k) => {
            shortcut::pad_backward::<E>(ctx, &k.geometry, o.input("dy"), o.output("dx"));
        }
        Kernel::Softmax(k) => {
            loss::softmax(ctx, k.rows, k.classes, o.input("logits"), o.output("probabilities"));
        }
        Kernel::CrossEntropy(k) => {
            let out = ["loss", "correct"].map(|name| o.output(name));
            loss::cross_entropy(ctx, k.classes, k.smoothing, o.input("logits"), o.input("labels"), out);
        }
        Kernel::CrossEntropyBackward(k) => {
            let (logits, labels) = (o.input("logits"), o.input("labels"));
            let (scale, dlogits) = (if k.scaled { o.value("scale") } else { 1.0 }, o.output("dlogits"));
            loss::cross_entropy_backward(ctx, k.classes, k.smoothing, scale, logits, labels, dlogits);
        }
        Kernel::TargetLoss(k) => {
            let out = ["loss", "correct"].map(|name| o.output(name));
            target_loss::forward(ctx, &k.geometry, &loss_batch(o), out);
        }
        Kernel::TargetLossBackward(k) => {
            let scale = if k.scaled { o.value("scale") } else { 1.0 };
            target_loss::backward(ctx, &k.geometry, &loss_batch(o), scale, o.output("dlogits"));
        }
        Kernel::RunningRstd(k) => stats::running_rstd(k.eps, o.input("running_var"), o.output("rstd")),
        Kernel::AllFinite(_) => loss_scale::all_finite(ctx, o.input("grad"), o.output("finite")),
        Kernel::ClipGradients(k) => {
            let scale = if k.scaled { o.value("scale") } else { 1.0 };
            clip::clip(ctx, k.by, scale, o.update("grad"));
        }
        Kernel::Update(k) => run_update(ctx, k, o),
        Kernel::AccumulateGradients(k) => {
            let (share, sum) = (o.value("share"), o.update("sum"));
            match k.last {
                true => accumulate::finish(ctx, share, o.update("grad"), sum),
                false => accumulate::gather(ctx, share, o.input("grad"), sum),
            }
        }
        Kernel::AllReduce(k) => {
            let share = if k.weighted { o.value("share") } else { 1.0 };
            ranks::all_reduce(with, k, share, o.update("grad"));
        }
        Kernel::AllReduceWait(k) => ranks::all_reduce_wait(with, k, o.update("grad")),
        Kernel::AllGather(k) => ranks::all_gather(with, k, o.input("param")),
        Kernel::AllGatherWait(k) => ranks::all_gather_wait(with, k, o.update("param")),
        Kernel::Average(_) => average::average(ctx, o.value("decay"), o.update("average"), o.input("value")),
        Kernel::LossScaleUpdate(k) => {
            let state = k.dynamic.map(|dynamic| {
                let [scale, good_steps] = ["scale", "good_steps"].map(|name| o.update(name));
                loss_scale::State { dynamic, scale, good_steps }
            });
            loss_scale::update(o.value::<u32>("finite") != 0, o.update("skipped"), state);
        }
    }
}

/// An update; where the gradients of a scaled loss are not all finite, the step is left out.
fn run_update(ctx: &Ctx<'_>, k: &Update, o: &Operands<'_>) {
    let rate = o.value::<f32>("rate") * k.lr_scale;
    let mut at = update::Now { rate, step: o.value("step"), unscale: 1.0 };
    if k.scaled {
        if o.value::<u32>("finite") == 0 {
            return;
        }
        at.step = at.step.saturating_sub(o.value::<f32>("skipped") as u64);
        at.unscale = (1.0 / f64::from(o.value::<f32>("scale"))) as f32;
    }
    let (grad, param, adapts) = (o.input("grad"), o.update("param"), k.rule.per_tensor());
    match k.rule {
        UpdateRule::Sgd(sgd) => update::sgd(ctx, &sgd, at, grad, param, o.update("velocity")),
        UpdateRule::AdamW(adamw) => {
            let means = ["exp_avg", "exp_avg_sq"].map(|name| o.update(name));
            update::adamw(ctx, &adamw, at, grad, param, means);
        }
        UpdateRule::Lamb(lamb) => {
            let means = ["exp_avg", "exp_avg_sq"].map(|name| o.update(name));
            update::lamb(ctx, &lamb, at, adapts, grad, param, means);
        }
        UpdateRule::Lars(lars) => update::lars(ctx, &lars, at, adapts, grad, param, o.update("velocity")),
        UpdateRule::Lion(lion) => update::lion(ctx, &lion, at, grad, param, o.update("exp_avg")),
        UpdateRule::Muon(muon) => {
            let matrix = k.matrix.expect("lowering gives it to rules that take a matrix");
            update::muon(ctx, &muon, at, matrix, grad, param, o.update("momentum_buffer"));
        }
    }
}

fn loss_batch<'a>(o: &Operands<'a>) -> target_loss::Batch<'a> {
    let partners = o.optional("others").zip(o.optional("shares"));
    let (logits, labels, weights) = (o.input("logits"), o.input("labels"), o.optional("class_weights"));
    target_loss::Batch { logits, labels, partners, teacher: o.optional("teacher"), weights }
}

fn bn_norm<'a>(o: &Operands<'a>) -> Norm<'a> {
    let [mean, rstd, scale] = ["mean", "rstd", "scale"].map(|name| o.input(name));
    Norm { mean, rstd, scale }
}

fn groups<'a>(o: &Operands<'a>) -> GroupNorm<'a> {
    let [mean, rstd, scale] = ["mean", "rstd", "scale"].map(|name| o.input(name));
    GroupNorm { mean, rstd, scale }
}

fn gradients<'a, E: Element>(o: &Operands<'a>) -> Gradients<'a, E> {
    Gradients { dx: o.output("dx"), dresidual: o.optional_output("dresidual") }
}

/// As many parts at a time as fit into an array: a step allocates nothing.
fn run_concat(ctx: &Ctx<'_>, rows: usize, channels: &[usize], o: &Operands<'_>) {
    let (mut start, size) = (0, [rows, channels.iter().sum(), o.output_gap("y")]);
    for (nth, group) in channels.chunks(concat::PARTS).enumerate() {
        let first = nth * concat::PARTS;
        let parts: [Src<'_, f32>; concat::PARTS] =
            std::array::from_fn(|i| o.part(first + i.min(group.len() - 1)));
        concat::concat(ctx, size, start, &parts[..group.len()], o.output("y"));
        start += group.iter().sum::<usize>();
    }
}
