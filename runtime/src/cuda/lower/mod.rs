//! From a plan to calls: which kernels are launched for each step, on how many threads, with which arguments. What comes out does
//! not know what carries it out.

mod activation;
mod at_once;
mod buckets;
mod channels;
mod conv;
mod drop;
mod elementwise;
mod fusions;
mod group;
mod loss;
mod masks;
mod muon;
mod norm;
mod norms;
mod pooling;
mod product;
mod ranks;
mod scratch;
mod site;
mod sums;
mod update;
mod update_parts;

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{Kernel, Plan, Region};

use super::driver::Preparer;
use super::launch::{Arg, Base, Call, Launch, Place, count};
use crate::error::{Error, Result};
use fusions::Fusions;
use site::{Made, Site};

/// A plan as calls.
pub struct Lowered {
    /// Of each step.
    pub steps: Vec<Vec<Call<Place>>>,
    /// Bytes of scratch memory that its steps need; each has all of it, but for what goes on beside them at its beginning:
    /// sums that convolutions leave for statistics, and what ranks send.
    pub scratch: usize,
    /// The type that parameters are wanted in beside `f32`.
    pub narrow: Option<DType>,
}

/// Lowers all steps of a plan that has been found sound.
///
/// # Errors
/// Where a step is too large to be counted in 32 bits, or nobody can compute it.
pub fn lower(plan: &Plan, preparer: &dyn Preparer) -> Result<Lowered> {
    let mut lowered = Lowered { steps: Vec::new(), scratch: 0, narrow: None };
    let mut fusions = Fusions::of(plan);
    for step in &plan.steps {
        let mut site = Site::new(plan, step, preparer, &fusions);
        lower_step(&mut site, &step.kernel)?;
        let Made { mut calls, scratch, fused } = site.finish();
        fused.map_or(Ok(()), |fused| fusions.note(fused, &mut calls))?;
        for call in &calls {
            if let Call::Launch(launch) = call {
                let fits = preparer.check(&launch.function, &launch.signature());
                fits.map_err(|e| Error::Device(format!("{}: {e}", step.name)))?;
            }
        }
        lowered.steps.push(calls);
        lowered.scratch = lowered.scratch.max(scratch);
    }
    lowered.narrow = Some(plan.precision()).filter(|&precision| precision != DType::F32);
    Ok(lowered)
}

/// The launch that makes the narrow parameters from the others.
pub fn narrowing(plan: &Plan, to: DType) -> Result<Launch<Place>> {
    let at = |base| Place { base, offset: 0 };
    convert(at(Base::Region(Region::Params)), at(Base::Narrow), plan.sizes.params / DType::F32.size(), to)
}

/// The launch that copies so many floats, four by four, as elements of a type.
pub fn convert<A>(from: A, to: A, floats: usize, element: DType) -> Result<Launch<A>> {
    const LANES: usize = 4;
    let packs = floats / LANES;
    let mut args = vec![Arg::At(from), Arg::At(to)];
    for size in [packs, 1, LANES, LANES] {
        args.push(Arg::Int(count(size)?));
    }
    Launch::flat(format!("convert_f32_{element}x{LANES}"), packs, args)
}

fn lower_step(site: &mut Site<'_>, kernel: &Kernel) -> Result<()> {
    match kernel {
        Kernel::Conv(k) => conv::forward(site, k),
        Kernel::ConvBackwardData(k) => conv::backward_data(site, k),
        Kernel::ConvBackwardFilter(k) => conv::backward_filter(site, k),
        Kernel::ChannelSum(k) => norm::channel_sum(site, k),
        Kernel::RunningRstd(k) => norm::running_rstd(site, k),
        Kernel::BnStats(k) => at_once::statistics(site, k),
        Kernel::AllReduce(k) => ranks::all_reduce(site, k),
        Kernel::AllReduceWait(k) => ranks::all_reduce_wait(site, k),
        Kernel::AllGather(_) | Kernel::AllGatherWait(_) => ranks::all_gather(site),
        Kernel::BnMoments(k) => norm::moments(site, k),
        Kernel::BnCombine(k) => ranks::bn_combine(site, k),
        Kernel::BnCombineSums(k) => ranks::bn_combine_sums(site, k),
        Kernel::BnApply(k) => at_once::apply(site, k),
        Kernel::BnBackwardReduce(k) => at_once::backward_reduce(site, k),
        Kernel::BnBackwardApply(k) => at_once::backward_apply(site, k),
        Kernel::GroupStats(k) => group::statistics(site, k),
        Kernel::GroupApply(k) => group::apply(site, k),
        Kernel::GroupBackwardReduce(k) => group::backward_reduce(site, k),
        Kernel::GroupBackwardApply(k) => group::backward_apply(site, k),
        Kernel::Affine(k) => norm::affine(site, k),
        Kernel::Activate(k) => elementwise::activate(site, k),
        Kernel::ActivateBackward(k) => elementwise::activate_backward(site, k),
        Kernel::Add(k) => elementwise::add(site, k),
        Kernel::Mul(k) => product::mul(site, k),
        Kernel::MulBackward(k) => product::mul_backward(site, k),
        Kernel::ScaleShift(k) => elementwise::scale_shift(site, k),
        Kernel::Drop(k) => drop::drop(site, k),
        Kernel::MaxPool(k) => pooling::max(site, k),
        Kernel::MaxPoolBackward(k) => pooling::max_backward(site, k),
        Kernel::AvgPool(k) => pooling::avg(site, k),
        Kernel::AvgPoolBackward(k) => pooling::avg_backward(site, k),
        Kernel::GlobalAvgPool(k) => pooling::global_avg(site, k),
        Kernel::GlobalAvgPoolBackward(k) => pooling::global_avg_backward(site, k),
        Kernel::GlobalMaxPool(k) => pooling::global_max(site, k),
        Kernel::GlobalMaxPoolBackward(k) => pooling::global_max_backward(site, k),
        Kernel::BlurPool(k) => pooling::blurred(site, k),
        Kernel::BlurPoolBackward(k) => pooling::blurred_backward(site, k),
        Kernel::Concat(k) => channels::concat(site, k),
        Kernel::ChannelSlice(k) => channels::slice(site, k),
        Kernel::PadShortcut(k) => channels::pad_shortcut(site, k),
        Kernel::PadShortcutBackward(k) => channels::pad_shortcut_backward(site, k),
        Kernel::Softmax(k) => loss::softmax(site, k),
        Kernel::CrossEntropy(k) => loss::cross_entropy(site, k),
        Kernel::CrossEntropyBackward(k) => loss::cross_entropy_backward(site, k),
        Kernel::TargetLoss(k) => loss::target_loss(site, k),
        Kernel::TargetLossBackward(k) => loss::target_loss_backward(site, k),
        Kernel::AccumulateGradients(k) => update::accumulate(site, k),
        Kernel::Average(k) => update::average(site, k),
        Kernel::AllFinite(k) => update::all_finite(site, k),
        Kernel::ClipGradients(k) => update::clip(site, k),
        Kernel::Update(k) => update::update(site, k),
        Kernel::LossScaleUpdate(k) => update::loss_scale(site, k),
    }
}
