//! Parameters from a training's device to its evaluation's, both on one GPU: folded and copied there, without the host.

use std::collections::BTreeMap;

use resnetc_compiler::ir::op::{BnTensors, Recipe};
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Slot};

use super::feed::copies;
use super::launch::{Arg, Call, Launch, count};
use crate::error::Result;
use crate::placement::lie_alike;
use crate::weights::recipe;

/// Where a plan's tensors lie.
pub(super) struct Tensors<'a> {
    plan: &'a Plan,
    address: &'a dyn Fn(BufferId) -> Result<u64>,
    /// Of tensors that are not made of others.
    own: BTreeMap<&'a str, BufferId>,
}

impl<'a> Tensors<'a> {
    pub fn new(plan: &'a Plan, address: &'a dyn Fn(BufferId) -> Result<u64>) -> Self {
        Tensors { plan, address, own: recipe::own(plan) }
    }

    /// The tensor of a name, of `f32`, with so many elements.
    fn get(&self, name: &str, len: usize) -> Option<(BufferId, &Buffer)> {
        let id = *self.own.get(name)?;
        let buffer = self.plan.buffer(id);
        (buffer.dtype == DType::F32 && buffer.shape.numel() == Some(len)).then_some((id, buffer))
    }

    fn at(&self, name: &str, len: usize) -> Result<Option<Arg<u64>>> {
        self.get(name, len).map(|(id, _)| (self.address)(id).map(Arg::At)).transpose()
    }
}

/// The calls that give a plan's parameters and running statistics the values that another one's have; `None` where they cannot be had so.
pub(super) fn calls(to: &Tensors<'_>, from: &Tensors<'_>) -> Result<Option<Vec<Call<u64>>>> {
    let (mut pieces, mut calls) = (Vec::new(), Vec::new());
    for slot in to.plan.slots.iter().filter(|slot| slot.role.of_network()) {
        let target = to.plan.buffer(slot.buffer);
        let address = (to.address)(slot.buffer)?;
        if slot.recipe != Recipe::Own {
            let Some(call) = fold(slot, target, address, from)? else { return Ok(None) };
            calls.push(call);
            continue;
        }
        let len = target.shape.numel().unwrap_or(0);
        match from.get(&target.name, len).filter(|(_, twin)| lie_alike(twin, target)) {
            Some((id, _)) => pieces.push(((from.address)(id)?, address, target.bytes)),
            None => return Ok(None),
        }
    }
    calls.extend(copies(&pieces)?);
    Ok(Some(calls))
}

fn fold(slot: &Slot, target: &Buffer, address: u64, from: &Tensors<'_>) -> Result<Option<Call<u64>>> {
    let channels = target.shape.0.first().copied().unwrap_or(1);
    let vector = |name: &str| from.at(name, channels);
    let (function, operands, sizes, items) = match &slot.recipe {
        Recipe::Own => return Ok(None),
        Recipe::FoldedWeight { weight, bn } => {
            let len = target.shape.numel().unwrap_or(0);
            let alike = from.get(weight, len).filter(|(_, twin)| lie_alike(twin, target));
            let outermost = matches!(target.layout, Layout::Ohwi | Layout::Plain);
            let Some((id, _)) = alike.filter(|_| outermost) else { return Ok(None) };
            let weight = Some(Arg::At((from.address)(id)?));
            let BnTensors { scale, var, .. } = bn;
            let operands = vec![weight, vector(scale)?, vector(var)?];
            ("fold_weight", operands, vec![channels, len / channels.max(1)], len)
        }
        Recipe::FoldedShift { bias, bn } => {
            let bias = bias.as_ref().map_or(Ok(Some(Arg::Null)), |bias| vector(bias))?;
            let BnTensors { scale, shift, mean, var, .. } = bn;
            let operands = vec![bias, vector(scale)?, vector(shift)?, vector(mean)?, vector(var)?];
            ("fold_shift", operands, vec![channels], channels)
        }
        Recipe::FoldedScale { bn } => {
            ("fold_scale", vec![vector(&bn.scale)?, vector(&bn.var)?], vec![channels], channels)
        }
    };
    let Some(mut args) = operands.into_iter().collect::<Option<Vec<Arg<u64>>>>() else { return Ok(None) };
    args.push(Arg::At(address));
    for size in sizes {
        args.push(Arg::Int(count(size)?));
    }
    args.extend(eps(&slot.recipe).map(Arg::Float));
    Launch::flat(function.to_owned(), items, args).map(|launch| Some(Call::Launch(launch)))
}

fn eps(recipe: &Recipe) -> Option<f32> {
    match recipe {
        Recipe::Own => None,
        Recipe::FoldedWeight { bn, .. } | Recipe::FoldedShift { bn, .. } | Recipe::FoldedScale { bn } => {
            Some(bn.eps)
        }
    }
}
