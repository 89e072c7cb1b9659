//! Every kernel but the convolutions once more, in `f64`, one element at a time, straight from the formulas: what the
//! fast kernels are tested against. Nothing here is fast, vectorised or parallel.

pub mod blur;
pub mod concat;
pub mod elementwise;
pub mod group_norm;
pub mod loss;
pub mod norm;
pub mod pooling;
pub mod product;
pub mod shortcut;

use resnetc_compiler::plan::Kernel;

use crate::device::RunArgs;
use crate::random::{Key, factors};

/// Runs one kernel. Inputs in the kernel's order, whatever their element type; results likewise, followed by the inputs
/// that the kernel updates in place (running statistics; parameter and velocity) as they are afterwards.
/// `None` for convolutions, whose oracle lies beside them.
pub fn run(kernel: &Kernel, args: &RunArgs, inputs: &[&[f64]]) -> Option<Vec<Vec<f64>>> {
    let i = inputs;
    let last = |present: bool| present.then(|| i[i.len() - 1]);
    Some(match kernel {
        Kernel::Conv { .. } | Kernel::ConvBackwardData { .. } | Kernel::ConvBackwardFilter { .. } => {
            return None;
        }
        &Kernel::ChannelSum { channels, .. } => vec![norm::channel_sum(channels, i[0])],
        &Kernel::BnStats { rows, eps, momentum, .. } => {
            let s = norm::bn_stats(rows, eps, momentum, i[0], i[1], i[2]);
            vec![s.mean, s.rstd, s.running_mean, s.running_var]
        }
        &Kernel::BnApply { epilogue, .. } => {
            vec![norm::bn_apply(epilogue, i[0], [i[1], i[2], i[3], i[4]], last(epilogue.residual))]
        }
        &Kernel::BnBackwardReduce { epilogue, .. } => {
            let scale = i.get(4).copied();
            let g = norm::before_activation(epilogue, i, scale, last(epilogue.act.is_some()));
            norm::bn_backward_reduce(&g, i[1], i[2], i[3]).into()
        }
        &Kernel::BnBackwardApply { rows, epilogue, .. } => {
            let channel = [i[2], i[3], i[4], i[5], i[6]];
            let g = norm::before_activation(epilogue, i, Some(i[4]), last(epilogue.act.is_some()));
            let [dx, dresidual] = norm::bn_backward_apply(rows, &g, i[1], channel);
            if epilogue.residual { vec![dx, dresidual] } else { vec![dx] }
        }
        Kernel::GroupStats { geometry, eps } => group_norm::group_stats(geometry, *eps, i[0]).into(),
        Kernel::GroupApply { geometry, epilogue } => {
            let residual = last(epilogue.residual);
            vec![group_norm::group_apply(geometry, *epilogue, i[0], [i[1], i[2], i[3], i[4]], residual)]
        }
        Kernel::GroupBackwardReduce { geometry, act } => {
            let norm = [i[2], i[3], i[4]];
            group_norm::group_backward_reduce(geometry, *act, i[0], i[1], norm, last(act.is_some())).into()
        }
        Kernel::GroupBackwardApply { geometry, epilogue } => {
            let (act, norm) = (epilogue.act, [i[2], i[3], i[4], i[5], i[6]]);
            let [dx, dresidual] =
                group_norm::group_backward_apply(geometry, act, i[0], i[1], norm, last(act.is_some()));
            if epilogue.residual { vec![dx, dresidual] } else { vec![dx] }
        }
        &Kernel::Affine { epilogue, .. } => {
            vec![norm::affine(epilogue, i[0], i[1], i[2], last(epilogue.residual))]
        }
        &Kernel::Activate { act, .. } => vec![i[0].iter().map(|&x| elementwise::activate(act, x)).collect()],
        &Kernel::ActivateBackward { act, .. } => vec![elementwise::masked(Some(act), i[0], Some(i[1]))],
        &Kernel::Add { act, .. } => vec![elementwise::add(act, i[0], i[1])],
        &Kernel::Mul { pixels, channels, gate, epilogue, .. } => {
            let at = product::second(pixels, channels, gate);
            vec![product::mul(epilogue, at, i[0], i[1], last(epilogue.residual))]
        }
        &Kernel::MulBackward { pixels, channels, gate, epilogue, .. } => {
            let at = product::second(pixels, channels, gate);
            let y = last(epilogue.act.is_some());
            let mut gradients = product::mul_backward(epilogue.act, at, i[0], i[1], i[2], y).to_vec();
            gradients.truncate(2 + usize::from(epilogue.residual));
            gradients
        }
        &Kernel::Drop { ref geometry, part, rate, stream } => {
            let factors = factors(geometry, part, rate, Key::new(args, stream));
            vec![i[0].iter().zip(factors).map(|(x, factor)| x * factor).collect()]
        }
        &Kernel::ScaleShift { scale, shift, .. } => {
            vec![i[0].iter().map(|x| f64::from(scale) * x + f64::from(shift)).collect()]
        }
        &Kernel::MaxPool { ref geometry, positions } => {
            let [y, at] = pooling::max_pool(geometry, i[0]);
            if positions { vec![y, at] } else { vec![y] }
        }
        Kernel::MaxPoolBackward { geometry } => vec![pooling::max_pool_backward(geometry, i[0], i[1])],
        Kernel::AvgPool { geometry } => vec![pooling::avg_pool(geometry, i[0])],
        Kernel::AvgPoolBackward { geometry } => vec![pooling::avg_pool_backward(geometry, i[0])],
        &Kernel::GlobalAvgPool { images, pixels, channels } => {
            vec![pooling::global_avg_pool(images, pixels, channels, i[0])]
        }
        &Kernel::GlobalAvgPoolBackward { images, pixels, channels } => {
            vec![pooling::global_avg_pool_backward(images, pixels, channels, i[0])]
        }
        &Kernel::GlobalMaxPool { images, pixels, channels, positions } => {
            let [y, at] = pooling::global_max_pool(images, pixels, channels, i[0]);
            if positions { vec![y, at] } else { vec![y] }
        }
        &Kernel::GlobalMaxPoolBackward { images, pixels, channels } => {
            vec![pooling::global_max_pool_backward(images, pixels, channels, i[0], i[1])]
        }
        Kernel::BlurPool(g) => vec![blur::blur_pool(g, i[0])],
        Kernel::BlurPoolBackward(g) => vec![blur::blur_pool_backward(g, i[0])],
        &Kernel::Concat { rows, ref channels } => vec![concat::concat(rows, channels, i)],
        &Kernel::ChannelSlice { rows, channels, start, taken } => {
            vec![concat::slice([rows, channels], start, taken, i[0])]
        }
        Kernel::PadShortcut(g) => vec![shortcut::pad(g, i[0])],
        Kernel::PadShortcutBackward(g) => vec![shortcut::pad_backward(g, i[0])],
        &Kernel::Softmax { classes, .. } => vec![loss::softmax(classes, i[0])],
        &Kernel::CrossEntropy { classes, smoothing, .. } => {
            loss::cross_entropy(classes, smoothing, i[0], i[1]).map(|v| vec![v]).into()
        }
        &Kernel::CrossEntropyBackward { classes, smoothing, .. } => {
            vec![loss::cross_entropy_backward(classes, smoothing, i[0], i[1])]
        }
        Kernel::SgdUpdate { sgd, .. } => {
            elementwise::sgd(sgd, args.lr, args.first_update, i[0], i[1], i[2]).into()
        }
    })
}
