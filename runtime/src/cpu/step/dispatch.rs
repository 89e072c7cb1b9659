//! From a step of the plan to the call of its kernel.

use resnetc_compiler::ir::op::Epilogue;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{Kernel, Plan, Region, Step};

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapDst, MapSrc, Rows};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::norm::group::GroupNorm;
use crate::cpu::norm::group_backward::GroupSumsOut;
use crate::cpu::norm::stats::{StatsAttrs, StatsOut};
use crate::cpu::norm::{BnMask, Gradients, MaskBy, Norm, Sums, group, group_backward, stats};
use crate::cpu::pointwise::product::ProductGradients;
use crate::cpu::pointwise::{concat, drop, elementwise, loss, product, shortcut, update};
use crate::cpu::pooling::{blur, global_average, global_max};
use crate::cpu::simd::Element;
use crate::cpu::{norm, pooling};
use crate::device::RunArgs;
use crate::random::Key;

/// Where the regions lie during a run.
pub(in crate::cpu) struct Bases {
    /// First byte and size of each region, in the order of [`region_index`].
    pub regions: [(*mut u8, usize); REGIONS],
}

/// Number of regions.
pub(in crate::cpu) const REGIONS: usize = 5;

/// Position of a region in the device's memory.
pub(in crate::cpu) fn region_index(region: Region) -> usize {
    match region {
        Region::Arena => 0,
        Region::Params => 1,
        Region::Grads => 2,
        Region::Velocity => 3,
        Region::State => 4,
    }
}

/// Operands of a step: views into the regions. All have been checked against the kernel's geometry at load.
pub(in crate::cpu) struct Operands<'a> {
    bases: &'a Bases,
    plan: &'a Plan,
    step: &'a Step,
}

impl<'a> Operands<'a> {
    pub fn new(bases: &'a Bases, plan: &'a Plan, step: &'a Step) -> Self {
        Operands { bases, plan, step }
    }

    /// First byte, and bytes to the end of the last pixel.
    fn place(&self, id: resnetc_compiler::plan::BufferId) -> (*mut u8, usize) {
        let buffer = self.plan.buffer(id);
        let (base, len) = self.bases.regions[region_index(buffer.region)];
        debug_assert!(buffer.offset + buffer.bytes <= len);
        // SAFETY: `check::plan` has found the buffer inside of its region.
        let first = unsafe { base.add(buffer.offset) };
        let pixels = buffer.shape.nchw().map_or(1, |[n, _, h, w]| n * h * w);
        (first, buffer.bytes + pixels.saturating_sub(1) * self.plan.gap(id) * buffer.dtype.size())
    }

    /// Rows and channels of the operands of a step over `len` elements. Rows matter to slices alone, which are maps.
    pub fn matrix(&self, len: usize) -> [usize; 2] {
        let mut operands = self.step.inputs.iter().map(|&id| self.plan.buffer(id));
        let channels = operands.find(|b| b.slice.is_some()).and_then(|b| b.shape.0.get(1).copied());
        let channels = channels.unwrap_or(len).max(1);
        [len / channels, channels]
    }

    /// Operand `i`, to be read, with the gaps between its pixels.
    pub fn rows<E: Element>(&self, i: usize) -> Rows<'a, E> {
        Rows { view: self.input(i), gap: self.plan.gap(self.step.inputs[i]) }
    }

    /// Elements between the pixels of result `i`.
    pub fn output_gap(&self, i: usize) -> usize {
        self.plan.gap(self.step.outputs[i])
    }

    /// What the step computes.
    pub fn kernel(&self) -> &'a Kernel {
        &self.step.kernel
    }

    /// Operand `i`, to be read.
    pub fn input<T: bytemuck::Pod>(&self, i: usize) -> Src<'a, T> {
        let (ptr, bytes) = self.place(self.step.inputs[i]);
        // SAFETY: inside of its region and aligned to a cache line; the device is borrowed while it runs.
        unsafe { Src::new(ptr.cast(), bytes / size_of::<T>()) }
    }

    /// Operand `i`, to be updated in place.
    pub fn update(&self, i: usize) -> Dst<'a, f32> {
        let (ptr, bytes) = self.place(self.step.inputs[i]);
        // SAFETY: as in `input`.
        unsafe { Dst::new(ptr.cast(), bytes / size_of::<f32>()) }
    }

    /// Operand `i`, a map to be read as it is stored.
    pub fn map(&self, i: usize) -> MapSrc<'a> {
        match self.plan.buffer(self.step.inputs[i]).dtype {
            DType::Bf16 => MapSrc::Bf16(self.input(i)),
            _ => MapSrc::F32(self.input(i)),
        }
    }

    /// Whether the step's maps that may be stored as bf16 are, where they are one group.
    fn are_narrow(&self) -> bool {
        let first = self.step.kernel.stored_alike().first().and_then(|group| group.first());
        let id = first.and_then(|&operand| self.step.operand(operand));
        id.is_some_and(|id| self.plan.buffer(id).dtype == DType::Bf16)
    }

    /// The last operand, a map, if the flag says that there is one.
    pub fn last_map(&self, present: bool) -> Option<MapSrc<'a>> {
        present.then(|| self.map(self.step.inputs.len() - 1))
    }

    /// Result `i`, a map as it is to be stored.
    pub fn output_map(&self, i: usize) -> MapDst<'a> {
        match self.plan.buffer(self.step.outputs[i]).dtype {
            DType::Bf16 => MapDst::Bf16(self.output(i)),
            _ => MapDst::F32(self.output(i)),
        }
    }

    /// The last operand, if the flag says that there is one.
    pub fn last_input<T: bytemuck::Pod>(&self, present: bool) -> Option<Src<'a, T>> {
        present.then(|| self.input(self.step.inputs.len() - 1))
    }

    /// Result `i`.
    pub fn output<T: bytemuck::Pod>(&self, i: usize) -> Dst<'a, T> {
        let (ptr, bytes) = self.place(self.step.outputs[i]);
        // SAFETY: as in `input`.
        unsafe { Dst::new(ptr.cast(), bytes / size_of::<T>()) }
    }
}

/// By what a batch normalisation's gradient undoes the activation: operand 4 of both its kernels is the scale, where that is
/// needed; the last one the shift, or the result.
fn bn_mask<'a, E: Element>(epilogue: Epilogue, o: &Operands<'a>) -> Option<BnMask<'a, E>> {
    let act = epilogue.act?;
    let by = match epilogue.recomputes_sign() {
        true => MaskBy::Input([o.input(4), o.last_input(true)?]),
        false => MaskBy::Result(o.last_input(true)?),
    };
    Some(BnMask { act, by })
}

/// Floats of scratch memory that a kernel needs on this many threads.
pub(in crate::cpu) fn scratch_len(kernel: &Kernel, threads: usize) -> usize {
    match kernel {
        Kernel::ChannelSum { channels, .. } => stats::channel_sum_scratch_len(*channels, threads),
        Kernel::BnStats { channels, .. } => stats::bn_stats_scratch_len(*channels, threads),
        Kernel::BnBackwardReduce { channels, .. } => {
            stats::bn_backward_reduce_scratch_len(*channels, threads)
        }
        Kernel::GroupStats { geometry, .. } => group::group_stats_scratch_len(geometry, threads),
        Kernel::GroupApply { geometry, .. } => group::group_apply_scratch_len(geometry, threads),
        Kernel::GroupBackwardReduce { geometry, .. } => {
            group_backward::group_backward_reduce_scratch_len(geometry, threads)
        }
        Kernel::GroupBackwardApply { geometry, .. } => {
            group_backward::group_backward_apply_scratch_len(geometry, threads)
        }
        Kernel::CrossEntropy { .. } => loss::cross_entropy_scratch_len(threads),
        Kernel::Drop { geometry, part, .. } => drop::drop_scratch_len(geometry, *part),
        Kernel::Conv { .. } | Kernel::ConvBackwardData { .. } | Kernel::ConvBackwardFilter { .. } => 0,
        Kernel::BnApply { .. }
        | Kernel::BnBackwardApply { .. }
        | Kernel::Affine { .. }
        | Kernel::Activate { .. }
        | Kernel::ActivateBackward { .. }
        | Kernel::Add { .. }
        | Kernel::Mul { .. }
        | Kernel::MulBackward { .. }
        | Kernel::ScaleShift { .. }
        | Kernel::MaxPool { .. }
        | Kernel::MaxPoolBackward { .. }
        | Kernel::AvgPool { .. }
        | Kernel::AvgPoolBackward { .. }
        | Kernel::GlobalAvgPool { .. }
        | Kernel::GlobalAvgPoolBackward { .. }
        | Kernel::GlobalMaxPool { .. }
        | Kernel::GlobalMaxPoolBackward { .. }
        | Kernel::BlurPool(_)
        | Kernel::BlurPoolBackward(_)
        | Kernel::Concat { .. }
        | Kernel::ChannelSlice { .. }
        | Kernel::PadShortcut(_)
        | Kernel::PadShortcutBackward(_)
        | Kernel::Softmax { .. }
        | Kernel::CrossEntropyBackward { .. }
        | Kernel::SgdUpdate { .. } => 0,
    }
}

/// Runs a step that has nothing prepared.
pub(in crate::cpu) fn run(ctx: &Ctx<'_>, o: &Operands<'_>, args: &RunArgs) {
    if o.are_narrow() { run_stored::<u16>(ctx, o, args) } else { run_stored::<f32>(ctx, o, args) }
}

/// Runs a step whose maps consist of `E`, those that may be stored as bf16: such kernels have one group of them. The order of
/// each kernel's operands is that of [`Kernel`]'s documentation.
fn run_stored<E: Element>(ctx: &Ctx<'_>, o: &Operands<'_>, args: &RunArgs) {
    match &o.step.kernel {
        kernel @ (Kernel::Conv { .. }
        | Kernel::ConvBackwardData { .. }
        | Kernel::ConvBackwardFilter { .. }) => {
            unreachable!("{kernel:?} is prepared when its plan is loaded")
        }
        &Kernel::ChannelSum { rows, .. } => stats::channel_sum::<E>(ctx, rows, o.input(0), o.output(0)),
        &Kernel::BnStats { rows, eps, momentum, .. } => {
            let [running_mean, running_var] = [1, 2].map(|i| o.update(i));
            let out = StatsOut { running_mean, running_var, mean: o.output(0), rstd: o.output(1) };
            stats::bn_stats::<E>(ctx, rows, StatsAttrs { eps, momentum }, o.rows(0), out);
        }
        &Kernel::BnApply { rows, epilogue, .. } => {
            let [mean, rstd, scale, shift] = [1, 2, 3, 4].map(|i| o.input(i));
            let residual = o.last_input(epilogue.residual);
            let norm = Norm { mean, rstd, scale };
            norm::bn_apply::<E>(ctx, rows, epilogue, o.rows(0), norm, shift, residual, o.output(0));
        }
        &Kernel::BnBackwardReduce { rows, epilogue, .. } => {
            let mask = bn_mask(epilogue, o);
            let (statistics, out) = ([2, 3].map(|i| o.input(i)), [0, 1].map(|i| o.output(i)));
            stats::bn_backward_reduce::<E>(ctx, rows, o.input(0), o.rows(1), statistics, mask, out);
        }
        &Kernel::BnBackwardApply { rows, epilogue, .. } => {
            let mask = bn_mask(epilogue, o);
            let [mean, rstd, scale, dscale, dshift] = [2, 3, 4, 5, 6].map(|i| o.input(i));
            let (norm, sums) = (Norm { mean, rstd, scale }, Sums { dscale, dshift });
            let out = Gradients { dx: o.output(0), dresidual: epilogue.residual.then(|| o.output(1)) };
            norm::bn_backward_apply::<E>(ctx, rows, o.input(0), o.rows(1), norm, sums, mask, out);
        }
        Kernel::GroupStats { geometry, eps } => {
            group::group_stats::<E>(ctx, geometry, *eps, o.rows(0), [0, 1].map(|i| o.output(i)));
        }
        Kernel::GroupApply { geometry, epilogue } => {
            let [mean, rstd, scale, shift] = [1, 2, 3, 4].map(|i| o.input(i));
            let (norm, residual) = (GroupNorm { mean, rstd, scale }, o.last_input(epilogue.residual));
            group::group_apply::<E>(ctx, geometry, *epilogue, o.rows(0), norm, shift, residual, o.output(0));
        }
        &Kernel::GroupBackwardReduce { ref geometry, act } => {
            let mask = act.zip(o.last_input(act.is_some()));
            let [mean, rstd, scale] = [2, 3, 4].map(|i| o.input(i));
            let [dscale, dshift, slope, offset] = [0, 1, 2, 3].map(|i| o.output(i));
            let (norm, out) =
                (GroupNorm { mean, rstd, scale }, GroupSumsOut { dscale, dshift, slope, offset });
            let (dy, x) = (o.input(0), o.rows(1));
            group_backward::group_backward_reduce::<E>(ctx, geometry, dy, x, norm, mask, out);
        }
        Kernel::GroupBackwardApply { geometry, epilogue } => {
            let mask = epilogue.act.zip(o.last_input(epilogue.act.is_some()));
            let [mean, rstd, scale, slope, offset] = [2, 3, 4, 5, 6].map(|i| o.input(i));
            let norm = GroupNorm { mean, rstd, scale };
            let out = Gradients { dx: o.output(0), dresidual: epilogue.residual.then(|| o.output(1)) };
            group_backward::group_backward_apply::<E>(
                ctx,
                geometry,
                o.input(0),
                o.rows(1),
                norm,
                [slope, offset],
                mask,
                out,
            );
        }
        &Kernel::Affine { rows, epilogue, .. } => {
            let ([scale, shift], residual) = ([1, 2].map(|i| o.input(i)), o.last_input(epilogue.residual));
            let (x, y, gap) = (o.rows(0), o.output(0), o.output_gap(0));
            norm::affine::<E>(ctx, rows, epilogue, x, [scale, shift], residual, y, gap);
        }
        &Kernel::Activate { act, .. } => elementwise::activate::<E>(ctx, act, o.input(0), o.output(0)),
        &Kernel::ActivateBackward { act, .. } => {
            elementwise::activate_backward::<E>(ctx, act, o.input(0), o.input(1), o.output(0));
        }
        &Kernel::Add { len, act } => {
            let size = o.matrix(len);
            elementwise::add::<E>(ctx, act, size, [0, 1].map(|i| o.rows(i)), o.output(0));
        }
        &Kernel::Mul { images, pixels, channels, gate, epilogue } => {
            let (residual, y) = (o.last_input(epilogue.residual), o.output(0));
            if gate {
                let (size, factors) = ([images, pixels, channels], (o.input(0), o.input(1)));
                product::gate::<E>(ctx, size, epilogue, factors, residual, y);
            } else {
                product::mul::<E>(ctx, epilogue, [0, 1].map(|i| o.input(i)), residual, y);
            }
        }
        &Kernel::MulBackward { images, pixels, channels, gate, epilogue } => {
            let mask = epilogue.act.zip(o.last_input(epilogue.act.is_some()));
            let (da, dresidual) = (o.output(0), epilogue.residual.then(|| o.output(2)));
            if gate {
                let (size, factors) = ([images, pixels, channels], (o.input(1), o.input(2)));
                let out = ProductGradients { da, db: o.output(1), dresidual };
                product::gate_backward::<E>(ctx, size, o.input(0), factors, mask, out);
            } else {
                let out = ProductGradients { da, db: o.output(1), dresidual };
                product::mul_backward::<E>(ctx, o.input(0), [1, 2].map(|i| o.input(i)), mask, out);
            }
        }
        &Kernel::Drop { geometry, part, rate, stream } => {
            let key = Key::new(args, stream);
            drop::drop::<E>(ctx, &geometry, part, rate, key, o.input(0), o.output(0));
        }
        &Kernel::ScaleShift { scale, shift, .. } => {
            elementwise::scale_shift::<E>(ctx, [scale, shift], o.input(0), o.output(0));
        }
        Kernel::MaxPool { geometry, positions } => {
            let positions = positions.then(|| o.output(1));
            pooling::max_pool::<E>(ctx, geometry, o.input(0), o.output(0), o.output_gap(0), positions);
        }
        Kernel::MaxPoolBackward { geometry } => {
            pooling::max_pool_backward::<E>(ctx, geometry, o.input(0), o.input(1), o.output(0));
        }
        Kernel::AvgPool { geometry } => {
            pooling::avg_pool::<E>(ctx, geometry, o.input(0), o.output(0), o.output_gap(0));
        }
        Kernel::AvgPoolBackward { geometry } => {
            pooling::avg_pool_backward::<E>(ctx, geometry, o.input(0), o.output(0));
        }
        &Kernel::GlobalAvgPool { images, pixels, channels } => {
            global_average::global_avg_pool::<E>(ctx, [images, pixels, channels], o.input(0), o.output(0));
        }
        &Kernel::GlobalAvgPoolBackward { images, pixels, channels } => {
            let (dy, dx) = (o.input(0), o.output(0));
            global_average::global_avg_pool_backward::<E>(ctx, [images, pixels, channels], dy, dx);
        }
        &Kernel::GlobalMaxPool { images, pixels, channels, positions } => {
            let positions = positions.then(|| o.output(1));
            let (x, y) = (o.input(0), o.output(0));
            global_max::global_max_pool::<E>(ctx, [images, pixels, channels], x, y, positions);
        }
        &Kernel::GlobalMaxPoolBackward { images, pixels, channels } => {
            let (size, dx) = ([images, pixels, channels], o.output(0));
            global_max::global_max_pool_backward::<E>(ctx, size, o.input(0), o.input(1), dx);
        }
        Kernel::BlurPool(g) => blur::blur_pool::<E>(ctx, g, o.input(0), o.output(0)),
        Kernel::BlurPoolBackward(g) => blur::blur_pool_backward::<E>(ctx, g, o.input(0), o.output(0)),
        &Kernel::Concat { rows, ref channels } => run_concat(ctx, rows, channels, o),
        &Kernel::ChannelSlice { rows, channels, start, taken } => {
            concat::slice(ctx, [rows, channels], start..start + taken, o.input(0), o.output(0));
        }
        Kernel::PadShortcut(g) => shortcut::pad::<E>(ctx, g, o.input(0), o.output(0)),
        Kernel::PadShortcutBackward(g) => shortcut::pad_backward::<E>(ctx, g, o.input(0), o.output(0)),
        &Kernel::Softmax { rows, classes } => loss::softmax(ctx, rows, classes, o.input(0), o.output(0)),
        &Kernel::CrossEntropy { classes, smoothing, .. } => {
            let out = [0, 1].map(|i| o.output(i));
            loss::cross_entropy(ctx, classes, smoothing, o.input(0), o.input(1), out);
        }
        &Kernel::CrossEntropyBackward { classes, smoothing, .. } => {
            loss::cross_entropy_backward(ctx, classes, smoothing, o.input(0), o.input(1), o.output(0));
        }
        Kernel::SgdUpdate { sgd, .. } => update::sgd(ctx, sgd, args, o.input(1), o.update(0), o.update(2)),
    }
}

/// As many parts at a time as fit into an array: a step allocates nothing.
fn run_concat(ctx: &Ctx<'_>, rows: usize, channels: &[usize], o: &Operands<'_>) {
    let (mut start, size) = (0, [rows, channels.iter().sum(), o.output_gap(0)]);
    for (nth, group) in channels.chunks(concat::PARTS).enumerate() {
        let first = nth * concat::PARTS;
        let parts: [Src<'_, f32>; concat::PARTS] =
            std::array::from_fn(|i| o.input(first + i.min(group.len() - 1)));
        concat::concat(ctx, size, start, &parts[..group.len()], o.output(0));
        start += group.iter().sum::<usize>();
    }
}
