//! Where a plan's buffers lie, as every device with memory of its own has to know it.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::shards::Piece;
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Region};

use crate::error::{Error, Result};

/// Whether a region is a session's: it holds nothing between runs.
pub(crate) fn is_transient(region: Region) -> bool {
    matches!(region, Region::Arena | Region::Control)
}

/// Region and offset of a buffer, `len` being the bytes that the caller has for it.
///
/// # Errors
/// Where there is no such buffer, it is a slice, or has another size.
pub(crate) fn place(plan: &Plan, buffer: BufferId, len: usize) -> Result<(Region, usize)> {
    let b = plan.buffers.get(buffer.0 as usize);
    let b = b.ok_or_else(|| Error::Device("no such buffer".to_owned()))?;
    if b.slice.is_some() || b.span.is_some() {
        return Err(Error::Device(format!("{}: it is a part of another buffer", b.name)));
    }
    if len != b.bytes {
        return Err(Error::Device(format!("{}: {len} bytes given, the buffer has {}", b.name, b.bytes)));
    }
    Ok((b.region, b.offset))
}

/// The same of a tensor of the optimizer's state: at the parameter's offset.
///
/// # Errors
/// As [`place`], and where the plan has no such tensor, or each rank has a part of it.
pub(crate) fn optimizer_place(
    plan: &Plan,
    param: BufferId,
    tensor: u8,
    len: usize,
) -> Result<(Region, usize)> {
    let (region, offset) = place(plan, param, len)?;
    if region != Region::Params || usize::from(tensor) >= plan.optimizer.len() {
        let name = &plan.buffer(param).name;
        return Err(Error::Device(format!("{name} has no tensor {tensor} of an optimizer")));
    }
    if plan.is_sharded(tensor) {
        let name = &plan.buffer(param).name;
        return Err(Error::Device(format!(
            "{name}: each rank has a part of the optimizer's tensor {tensor}"
        )));
    }
    Ok((Region::Optimizer(tensor), offset))
}

/// What a rank has of a tensor of the optimizer's state: its region, and the pieces there.
///
/// # Errors
/// As [`optimizer_place`], but for parts.
pub(crate) fn optimizer_pieces(
    plan: &Plan,
    param: BufferId,
    tensor: u8,
    len: usize,
    rank: usize,
) -> Result<(Region, Vec<Piece>)> {
    if !plan.is_sharded(tensor) {
        let (region, offset) = optimizer_place(plan, param, tensor, len)?;
        return Ok((region, vec![Piece { range: 0..len, offset }]));
    }
    match place(plan, param, len)? {
        (Region::Params, _) => Ok((Region::Optimizer(tensor), plan.pieces(plan.buffer(param), tensor, rank))),
        _ => Err(Error::Device(format!("{} has no state", plan.buffer(param).name))),
    }
}

/// Whether two buffers of one tensor have the same bytes.
pub(crate) fn lie_alike(a: &Buffer, b: &Buffer) -> bool {
    (&a.shape, a.layout, a.dtype, a.bytes) == (&b.shape, b.layout, b.dtype, b.bytes)
}

/// Refuses a region that is a session's, where the device's memory is asked for.
///
/// # Errors
/// Then.
pub(crate) fn persistent(region: Region) -> Result<()> {
    match is_transient(region) {
        false => Ok(()),
        true => Err(Error::Device(format!("{region:?} is a session's, not the device's"))),
    }
}

/// Refuses a plan that would touch memory outside of its buffers, or is compiled for another backend.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(plan: &Plan, backend: &Backend) -> Result<()> {
    let refuse = |text: String| Err(Error::Device(format!("{}: {text}", plan.name)));
    if plan.layouts != backend.layouts || !plan.align.is_multiple_of(backend.align) {
        return refuse("the plan is compiled for another backend".to_owned());
    }
    let stored = plan.buffers.iter().map(|buffer| buffer.dtype);
    let unknown = |ty: &DType| ty.is_narrow() && !backend.narrow.contains(ty);
    if let Some(ty) = stored.chain([plan.precision()]).find(unknown) {
        return refuse(format!("the plan multiplies in {ty}, which this device does not"));
    }
    plan.check_memory().into_iter().next().map_or(Ok(()), refuse)
}

/// Refuses a plan for another number of ranks than there are.
///
/// # Errors
/// Then.
pub(crate) fn check_ranks(plan: &Plan, there: usize) -> Result<()> {
    let wanted = plan.ranks.map_or(1, |ranks| ranks.count);
    // What needs no others is run by each rank for itself.
    if wanted == 1 || wanted == there {
        return Ok(());
    }
    Err(Error::Device(format!("{}: the plan is for {wanted} ranks, and here are {there}", plan.name)))
}

/// What is said of a plan whose persistent tensors are not those of the plans before it.
pub(crate) fn other_persistent(plan: &Plan) -> Error {
    let text = "the persistent tensors of this plan are not those of the plans already loaded";
    Error::Device(format!("{}: {text}", plan.name))
}

/// Whether a step writes what outlives the run: a training does.
pub(crate) fn writes_persistent(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        let operands = step.operands();
        let updated = step.inputs.iter().zip(&operands.inputs).filter(|(_, operand)| operand.updated);
        let written = updated.map(|(&id, _)| id).chain(step.outputs.iter().copied());
        written.into_iter().any(|id| !is_transient(plan.buffer(id).region))
    })
}
