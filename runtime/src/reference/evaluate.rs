//! Which function computes a kernel.

use candle_core::Tensor;
use resnetc_compiler::plan::Kernel;

use super::effects::{Effects, whole};
use super::{blur, conv, group_norm, loss, norm, pointwise, pool, product, update};
use crate::random::{Key, factors};

/// Computes one kernel. `inputs` are in logical order; so are the results, up to a reshape.
pub(super) fn evaluate(kernel: &Kernel, inputs: &[Tensor]) -> candle_core::Result<Effects> {
    match kernel {
        Kernel::Conv(k) => conv::forward(&k.geometry, k.bias, k.epilogue, inputs),
        Kernel::ConvBackwardData(k) => conv::backward_data(&k.geometry, k.residual, inputs),
        Kernel::ConvBackwardFilter(k) => conv::backward_filter(&k.geometry, inputs),
        Kernel::ChannelSum(k) => norm::channel_sum(k.rows, k.channels, inputs),
        Kernel::BnStats(k) => norm::statistics(k.rows, k.channels, k.eps, k.momentum, inputs),
        Kernel::BnApply(k) => norm::apply(k.rows, k.channels, k.epilogue, inputs),
        Kernel::BnBackwardReduce(k) => norm::backward_reduce(k.rows, k.channels, k.epilogue, inputs),
        Kernel::BnBackwardApply(k) => norm::backward_apply(k.rows, k.channels, k.epilogue, inputs),
        Kernel::GroupStats(k) => group_norm::statistics(&k.geometry, k.eps, inputs),
        Kernel::GroupApply(k) => group_norm::apply(&k.geometry, k.epilogue, inputs),
        Kernel::GroupBackwardReduce(k) => group_norm::backward_reduce(&k.geometry, k.act, inputs),
        Kernel::GroupBackwardApply(k) => group_norm::backward_apply(&k.geometry, k.epilogue, inputs),
        Kernel::Affine(k) => norm::affine(k.rows, k.channels, k.epilogue, inputs),
        Kernel::Activate(k) => Ok(pointwise::activate(k.act, &inputs[0])?.into()),
        Kernel::ActivateBackward(k) => {
            Ok(pointwise::activate_backward(k.act, &inputs[0], &inputs[1])?.into())
        }
        Kernel::Add(k) => pointwise::add(k.act, inputs),
        Kernel::Mul(k) => product::mul([k.images, k.channels, k.pixels], k.gate, k.epilogue, inputs),
        Kernel::MulBackward(k) => {
            product::mul_backward([k.images, k.channels, k.pixels], k.gate, k.epilogue, inputs)
        }
        Kernel::Drop(k) => {
            let key = Key::new(whole(&inputs[1])?, whole(&inputs[2])?, k.stream);
            pointwise::drop(&k.geometry, &factors(&k.geometry, k.part, k.rate, key), inputs)
        }
        Kernel::ScaleShift(k) => Ok(inputs[0].affine(f64::from(k.scale), f64::from(k.shift))?.into()),
        Kernel::MaxPool(k) => pool::max(&k.geometry, k.positions, inputs),
        Kernel::MaxPoolBackward(k) => pool::max_backward(&k.geometry, inputs),
        Kernel::AvgPool(k) => pool::avg(&k.geometry, inputs),
        Kernel::AvgPoolBackward(k) => pool::avg_backward(&k.geometry, inputs),
        Kernel::GlobalAvgPool(k) => pool::global_avg(k.images, k.pixels, k.channels, inputs),
        Kernel::GlobalAvgPoolBackward(k) => pool::global_avg_backward(k.images, k.pixels, k.channels, inputs),
        Kernel::GlobalMaxPool(k) => pool::global_max(k.images, k.pixels, k.channels, k.positions, inputs),
        Kernel::GlobalMaxPoolBackward(k) => pool::global_max_backward(k.images, k.pixels, k.channels, inputs),
        Kernel::BlurPool(k) => blur::forward(&k.geometry, inputs),
        Kernel::BlurPoolBackward(k) => blur::backward(&k.geometry, inputs),
        Kernel::Concat(k) => pointwise::concat(k.rows, &k.channels, inputs),
        Kernel::ChannelSlice(k) => pointwise::channel_slice(k.rows, k.channels, k.start, k.taken, inputs),
        Kernel::PadShortcut(k) => pointwise::pad_shortcut(&k.geometry, inputs),
        Kernel::PadShortcutBackward(k) => pointwise::pad_shortcut_backward(&k.geometry, inputs),
        Kernel::Softmax(k) => loss::softmax_kernel(k.rows, k.classes, inputs),
        Kernel::CrossEntropy(k) => loss::forward(k.rows, k.classes, k.smoothing, inputs),
        Kernel::CrossEntropyBackward(k) => loss::backward(k.rows, k.classes, k.smoothing, inputs),
        Kernel::Update(k) => update::update(k.rule, inputs),
    }
}
