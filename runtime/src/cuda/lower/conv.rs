//! Convolutions: what the driver multiplies, and what own kernels do before and behind it.
//!
//! A driver takes packed maps and weights of one element type. Where a network multiplies in a narrow type, its parameters lie
//! there in that type too ([`Base::Narrow`]). A map that stays `f32` in such a network (one whose channels lie side by side with
//! others', a pooled one, the logits) is rounded; where it is the result, factors are multiplied as `f32` that were rounded: TF32
//! holds each of them whole, so that nothing more is lost, and the result is not rounded.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};
use resnetc_compiler::plan::{ConvGeometry, Region};

use super::activation;
use super::channels::{copy, round};
use super::elementwise::flat;
use super::masks::Masked;
use super::norm::{apply_gradient, reduce, statistics_of_map, statistics_of_sums};
use super::site::{Made, Operand, Site};
use super::sums::Statistics;
use crate::cuda::launch::{Arg, Base, Call, Convolve, Direction, Place, Prepared, Task, Ways};
use crate::error::Result;

/// `y = act(conv(x, weight) + bias + residual)`
pub(super) fn forward(site: &mut Site<'_>, k: &Conv) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let element = product_type(&k.geometry, &y);
    let task = task(site, Direction::Forward, k.geometry, element);
    let tail = Tail { bias: site.find("bias"), residual: site.find("residual"), act: k.epilogue.act };
    let x = factor(site, &k.geometry, &x, element)?;
    let weight = weight(site, &k.geometry, element)?;
    if tail.is_empty() && forward_with_sums(site, task, [x.place, weight], &y)? {
        return Ok(());
    }
    product(site, task, [x.place, weight], &y, &tail)
}

/// The product and the sums of its result, where statistics are taken of that and the driver is faster so.
fn forward_with_sums(site: &mut Site<'_>, task: Task, [x, weight]: [Place; 2], y: &Operand) -> Result<bool> {
    let statistics = site.statistics_of("y").filter(|_| y.packed() && y.dtype == task.element);
    let Some(statistics) = statistics else { return Ok(false) };
    let ways = ways(site, task, &statistics)?;
    let Some(prepared) = prepare_fused(site, &ways)? else { return Ok(false) };
    let workspace = site.scratch(prepared.workspace);
    let plain = convolve(&prepared, [x, weight, y.place], &Tail::default(), workspace);
    site.call(Call::Convolve(Convolve { sums: Some(statistics.sums), ..plain }));
    site.leave_sums_of("y");
    Ok(true)
}

/// The convolution with the sums of its result and without them, each with what is left to do for the statistics.
fn ways(site: &Site<'_>, plain: Task, statistics: &Statistics<'_>) -> Result<Ways> {
    let &Statistics { step, kernel, .. } = statistics;
    let mut of_map = site.trial(step);
    statistics_of_map(&mut of_map, kernel)?;
    let mut of_sums = site.trial(step);
    let sums = [(); 2].map(|()| of_sums.scratch(kernel.channels * DType::F32.size()));
    statistics_of_sums(&mut of_sums, kernel, sums)?;
    let Made { calls: behind_plain, scratch, .. } = of_map.finish();
    let Made { calls: behind_fused, scratch: scratch_fused, .. } = of_sums.finish();
    let fused = Task { stats: true, ..plain };
    Ok(Ways { fused, behind_fused, plain, behind_plain, scratch: scratch.max(scratch_fused) })
}

/// `dx = conv^T(dy, weight) + residual`
pub(super) fn backward_data(site: &mut Site<'_>, k: &ConvBackwardData) -> Result<()> {
    let (dy, dx) = (site.get("dy")?, site.get("dx")?);
    let element = product_type(&k.geometry, &dx);
    let task = task(site, Direction::BackwardData, k.geometry, element);
    let tail = Tail { bias: None, residual: site.find("residual"), act: None };
    let dy = factor(site, &k.geometry, &dy, element)?;
    let weight = weight(site, &k.geometry, element)?;
    if masked_backward_data(site, task, [dy.place, weight], &dx, &tail)? {
        return Ok(());
    }
    product(site, task, [dy.place, weight], &dx, &tail)
}

/// The gradient of the input and of the ReLU before it, where its mask is a map and the driver is faster so.
fn masked_backward_data(
    site: &mut Site<'_>,
    task: Task,
    [dy, weight]: [Place; 2],
    dx: &Operand,
    tail: &Tail,
) -> Result<bool> {
    let found = site.mask_of("dx").filter(|_| dx.packed() && dx.dtype == task.element);
    let Some((masked, mask)) = found else { return Ok(false) };
    let plain = Task { residual: tail.residual.is_some(), ..task };
    let ways = masked_ways(site, plain, &masked)?;
    let Some(prepared) = prepare_fused(site, &ways)? else { return Ok(false) };
    let workspace = site.scratch(prepared.workspace);
    let whole = convolve(&prepared, [dx.place, weight, dy], tail, workspace);
    site.call(Call::Convolve(Convolve { mask: Some(mask.place), ..whole }));
    site.apply_mask_of("dx");
    Ok(true)
}

/// The convolution with the mask and without it, each with the normalisation's gradient behind it.
fn masked_ways(site: &Site<'_>, plain: Task, masked: &Masked<'_>) -> Result<Ways> {
    let passes = |masks: bool| -> Result<(Vec<Call<Place>>, usize)> {
        let (mut first, mut second) = (site.trial(masked.reduce.0), site.trial(masked.apply.0));
        reduce(&mut first, masked.reduce.1, masks)?;
        apply_gradient(&mut second, masked.apply.1, masks)?;
        let (first, second) = (first.finish(), second.finish());
        let calls = first.calls.into_iter().chain(second.calls).collect();
        Ok((calls, first.scratch.max(second.scratch)))
    };
    let ((behind_fused, scratch), (behind_plain, more)) = (passes(true)?, passes(false)?);
    let fused = Task { mask: true, ..plain };
    Ok(Ways { fused, behind_fused, plain, behind_plain, scratch: scratch.max(more) })
}

/// `dweight = x * dy`, summed over pixels and images.
pub(super) fn backward_filter(site: &mut Site<'_>, k: &ConvBackwardFilter) -> Result<()> {
    let (x, dy, dweight) = (site.get("x")?, site.get("dy")?, site.get("dweight")?);
    let element = k.geometry.precision;
    let x = factor(site, &k.geometry, &x, element)?;
    let dy = factor(site, &k.geometry, &dy, element)?;
    let task = task(site, Direction::BackwardFilter, k.geometry, element);
    let prepared = prepare(site, &task)?.ok_or_else(|| site.fault("the driver has no such convolution"))?;
    let workspace = site.scratch(prepared.workspace);
    let wanted = flat(dweight);
    let made =
        if prepared.result == wanted.dtype { wanted } else { site.scratch_map(&wanted, prepared.result) };
    let operands = [x.place, made.place, dy.place];
    site.call(Call::Convolve(convolve(&prepared, operands, &Tail::default(), workspace)));
    if made.place == wanted.place { Ok(()) } else { copy(site, &made, &wanted) }
}

/// What is computed behind a product.
#[derive(Default)]
struct Tail {
    bias: Option<Operand>,
    residual: Option<Operand>,
    act: Option<Activation>,
}

impl Tail {
    fn is_empty(&self) -> bool {
        self.bias.is_none() && self.residual.is_none() && self.act.is_none()
    }
}

/// The type that factors are multiplied in and the result `y` is stored in.
fn product_type(g: &ConvGeometry, y: &Operand) -> DType {
    if y.dtype == g.precision { g.precision } else { DType::F32 }
}

fn task(site: &Site<'_>, direction: Direction, geometry: ConvGeometry, element: DType) -> Task {
    let (tf32, deterministic) = (tf32(site, &geometry, element), site.is_deterministic());
    Task { tf32, deterministic, ..Task::plain(direction, geometry, element) }
}

/// Whether factors of `f32` may be multiplied as TF32: where the spec allows it, and where it holds them whole, as they were rounded.
fn tf32(site: &Site<'_>, g: &ConvGeometry, element: DType) -> bool {
    element == DType::F32 && (site.allows_tf32() || g.precision != DType::F32)
}

/// A map as the driver takes it: packed, rounded as the network multiplies, in the product's type.
fn factor(site: &mut Site<'_>, g: &ConvGeometry, map: &Operand, element: DType) -> Result<Operand> {
    let rounds = g.precision != DType::F32 && map.dtype == DType::F32;
    if map.packed() && map.dtype == element && !(rounds && element == DType::F32) {
        return Ok(*map);
    }
    let taken = site.scratch_map(map, element);
    if rounds && element == DType::F32 {
        round(site, g.precision, map, &taken)?;
    } else {
        copy(site, map, &taken)?;
    }
    Ok(taken)
}

/// The weight in the product's type.
fn weight(site: &mut Site<'_>, g: &ConvGeometry, element: DType) -> Result<Place> {
    let weight = site.get("weight")?;
    if g.precision == DType::F32 {
        return Ok(weight.place);
    }
    if element == g.precision && weight.place.base == Base::Region(Region::Params) {
        return Ok(Place { base: Base::Narrow, offset: weight.place.offset / 2 });
    }
    Ok(factor(site, g, &flat(weight), element)?.place)
}

fn prepare(site: &Site<'_>, task: &Task) -> Result<Option<Prepared>> {
    site.preparer.prepare(task).map_err(|error| site.told(error))
}

fn prepare_fused(site: &Site<'_>, ways: &Ways) -> Result<Option<Prepared>> {
    site.preparer.prepare_fused(ways).map_err(|error| site.told(error))
}

fn convolve(
    prepared: &Prepared,
    [x, weight, y]: [Place; 3],
    tail: &Tail,
    workspace: Place,
) -> Convolve<Place> {
    let place = |operand: Option<Operand>| operand.map(|operand| operand.place);
    Convolve {
        id: prepared.id,
        x,
        weight,
        y,
        bias: place(tail.bias),
        residual: place(tail.residual),
        sums: None,
        mask: None,
        workspace,
    }
}

/// A product into a map, with what comes behind it: all at once where the driver can, else by a kernel of its own.
fn product(
    site: &mut Site<'_>,
    task: Task,
    [from, weight]: [Place; 2],
    to: &Operand,
    tail: &Tail,
) -> Result<()> {
    let operands = |to: Place| match task.direction {
        Direction::BackwardData => [to, weight, from],
        Direction::Forward | Direction::BackwardFilter => [from, weight, to],
    };
    let fits = to.packed() && to.dtype == task.element;
    let (bias, residual) = (tail.bias.is_some(), tail.residual.is_some());
    let whole = Task { bias, residual, act: tail.act, ..task };
    if fits
        && !tail.is_empty()
        && let Some(prepared) = prepare(site, &whole)?
    {
        let workspace = site.scratch(prepared.workspace);
        site.call(Call::Convolve(convolve(&prepared, operands(to.place), tail, workspace)));
        return Ok(());
    }
    // What is added behind the product may lie where the result does.
    let covers = tail.residual.is_some_and(|residual| residual.place == to.place);
    let plain = if fits && !covers { *to } else { site.scratch_map(to, task.element) };
    let prepared = prepare(site, &task)?.ok_or_else(|| site.fault("the driver has no such convolution"))?;
    let workspace = site.scratch(prepared.workspace);
    let call = convolve(&prepared, operands(plain.place), &Tail::default(), workspace);
    site.call(Call::Convolve(call));
    if tail.is_empty() && plain.place == to.place { Ok(()) } else { epilogue(site, &plain, to, tail) }
}

/// `to = act(from + bias + residual)`
fn epilogue(site: &mut Site<'_>, from: &Operand, to: &Operand, tail: &Tail) -> Result<()> {
    let maps: Vec<Operand> = [*from, *to].into_iter().chain(tail.residual).collect();
    let lanes = site.lanes(to.channels, &maps);
    let (rows, packs) = (to.numel / to.channels, to.channels / lanes);
    let at = |operand: Option<Operand>| operand.map_or(Arg::Null, |operand| Arg::At(operand.place));
    let mut args = vec![Arg::At(from.place), at(tail.bias), at(tail.residual), Arg::At(to.place)];
    args.extend([site.count(rows)?, site.count(packs)?, site.count(to.pitch)?]);
    args.extend(activation::arguments(tail.act));
    site.launch_flat(site.entry("epilogue", to.dtype, lanes), rows * packs, args)
}
