//! Which function computes a kernel.

use candle_core::Result;
use resnetc_compiler::plan::Kernel;

use super::effects::{Effects, Given};
use super::{
    accumulate, blur, clip, conv, group_norm, loss, loss_scale, norm, pointwise, pool, product, ranks,
    target_loss, update,
};

/// Computes one kernel. What is given is in logical order; so are the results, up to a reshape.
pub(super) fn evaluate(kernel: &Kernel, given: &Given<'_>) -> Result<Effects> {
    match kernel {
        Kernel::Conv(k) => conv::forward(k, given),
        Kernel::ConvBackwardData(k) => conv::backward_data(k, given),
        Kernel::ConvBackwardFilter(k) => conv::backward_filter(k, given),
        Kernel::ChannelSum(k) => norm::channel_sum(k, given),
        Kernel::BnStats(k) => norm::statistics(k, given),
        Kernel::BnMoments(k) => norm::moments(k, given),
        Kernel::BnCombine(k) => ranks::combine(k, given),
        Kernel::BnCombineSums(_) => ranks::combine_sums(given),
        Kernel::BnApply(k) => norm::apply(k, given),
        Kernel::BnBackwardReduce(k) => norm::backward_reduce(k, given),
        Kernel::BnBackwardApply(k) => norm::backward_apply(k, given),
        Kernel::GroupStats(k) => group_norm::statistics(k, given),
        Kernel::GroupApply(k) => group_norm::apply(k, given),
        Kernel::GroupBackwardReduce(k) => group_norm::backward_reduce(k, given),
        Kernel::GroupBackwardApply(k) => group_norm::backward_apply(k, given),
        Kernel::Affine(k) => norm::affine(k, given),
        Kernel::Activate(k) => pointwise::activation(k, given),
        Kernel::ActivateBackward(k) => pointwise::activation_backward(k, given),
        Kernel::Add(k) => pointwise::add(k, given),
        Kernel::Mul(k) => product::mul(k, given),
        Kernel::MulBackward(k) => product::mul_backward(k, given),
        Kernel::Drop(k) => pointwise::drop(k, given),
        Kernel::ScaleShift(k) => pointwise::scale_shift(k, given),
        Kernel::MaxPool(k) => pool::max(k, given),
        Kernel::MaxPoolBackward(k) => pool::max_backward(k, given),
        Kernel::AvgPool(k) => pool::avg(k, given),
        Kernel::AvgPoolBackward(k) => pool::avg_backward(k, given),
        Kernel::GlobalAvgPool(k) => pool::global_avg(k, given),
        Kernel::GlobalAvgPoolBackward(k) => pool::global_avg_backward(k, given),
        Kernel::GlobalMaxPool(k) => pool::global_max(k, given),
        Kernel::GlobalMaxPoolBackward(k) => pool::global_max_backward(k, given),
        Kernel::BlurPool(k) => blur::forward(k, given),
        Kernel::BlurPoolBackward(k) => blur::backward(k, given),
        Kernel::Concat(k) => pointwise::concat(k, given),
        Kernel::ChannelSlice(k) => pointwise::channel_slice(k, given),
        Kernel::PadShortcut(k) => pointwise::pad_shortcut(k, given),
        Kernel::PadShortcutBackward(k) => pointwise::pad_shortcut_backward(k, given),
        Kernel::Softmax(k) => loss::softmax_kernel(k, given),
        Kernel::CrossEntropy(k) => loss::forward(k, given),
        Kernel::CrossEntropyBackward(k) => loss::backward(k, given),
        Kernel::TargetLoss(k) => target_loss::forward(k, given),
        Kernel::TargetLossBackward(k) => target_loss::backward(k, given),
        Kernel::RunningRstd(k) => norm::running_rstd(k, given),
        Kernel::AccumulateGradients(k) => accumulate::accumulate(k, given),
        Kernel::AllReduce(k) => ranks::all_reduce(k, given),
        Kernel::AllReduceWait(_) => ranks::wait("grad", given),
        Kernel::AllGather(_) => Ok(Vec::new()),
        Kernel::AllGatherWait(_) => ranks::wait("param", given),
        Kernel::Average(_) => accumulate::average(given),
        Kernel::ClipGradients(k) => clip::clip(k, given),
        Kernel::AllFinite(_) => loss_scale::all_finite(given),
        Kernel::Update(k) => update::update(k, given),
        Kernel::LossScaleUpdate(k) => loss_scale::update(k, given),
    }
}
