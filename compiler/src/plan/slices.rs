//! Concatenation without copies: operands become slices of the result, so that whoever makes them writes them where they
//! are wanted.
//!
//! An operand can be a slice where the kernel that makes it and all kernels that read it step over gaps. The others are
//! copied. In a chain, as DenseNet's units make, each result is an operand of the next one: all of them are slices of
//! the last one, and a unit's new channels are written once and copied never.
//!
//! Likewise, channels that are taken out of a map, as the gradients of operands are, are slices of it where all that read
//! them step over gaps.
//!
//! The gradient of a DenseNet's new channels is copied: a convolution's two backward kernels read it, each pixel once for
//! each tap of the window, and dense rows are what they pack and multiply fastest. The copies are about 2% of
//! DenseNet-BC-100's training step.

use super::kernel::{ChannelSlice, Concat};
use super::{Buffer, BufferId, Kernel, Operands, Plan, Region, Slice, Step};
use crate::ir::types::DType;

/// Removes what copying can be; to be called before lifetimes are known.
pub(super) fn remove_copies(plan: &mut Plan) {
    let moves = |step: &Step| matches!(step.kernel, Kernel::Concat(_) | Kernel::ChannelSlice(_));
    if !plan.steps.iter().any(moves) {
        return;
    }
    let uses = Uses::of(plan);
    let mut replaced: Vec<Option<Vec<Step>>> = vec![None; plan.steps.len()];
    slice_concats(plan, &uses, &mut replaced);
    slice_parts(plan, &uses, &mut replaced);
    let steps = std::mem::take(&mut plan.steps).into_iter().zip(replaced);
    plan.steps = steps.flat_map(|(step, instead)| instead.unwrap_or_else(|| vec![step])).collect();
}

/// Operands of concatenations: each such step's copies stand instead of it.
fn slice_concats(plan: &mut Plan, uses: &Uses, replaced: &mut [Option<Vec<Step>>]) {
    // Backwards: what a result is itself a slice of is known then.
    for index in (0..plan.steps.len()).rev() {
        let Kernel::Concat(Concat { rows, channels }) = &plan.steps[index].kernel else { continue };
        let (rows, channels) = (*rows, channels.clone());
        let Step { name, inputs, outputs, .. } = plan.steps[index].clone();
        let free: Vec<bool> = inputs.iter().map(|&id| uses.can_be_slice(plan, index, id)).collect();
        if !free.contains(&true) {
            continue;
        }
        let whole = outputs[0];
        let base = plan.buffer(whole).slice.unwrap_or(Slice { of: whole, start: 0 });
        let mut start = base.start;
        let mut copies = Vec::new();
        for (i, &id) in inputs.iter().enumerate() {
            let slice = Slice { start, ..base };
            start += channels[i];
            if free[i] {
                plan.buffers[id.0 as usize].slice = Some(slice);
                continue;
            }
            let part = plan.add_slice(format!("{name}.part{i}"), whole, channels[i], slice);
            let kernel = Concat { rows, channels: vec![channels[i]] }.into();
            copies.push(Step { name: name.clone(), kernel, inputs: vec![id], outputs: vec![part] });
        }
        replaced[index] = Some(copies);
    }
}

/// Results of [`Kernel::ChannelSlice`]. The map that they are taken from is written before, and lives as long as they.
fn slice_parts(plan: &mut Plan, uses: &Uses, replaced: &mut [Option<Vec<Step>>]) {
    for (index, instead) in replaced.iter_mut().enumerate() {
        let Kernel::ChannelSlice(ChannelSlice { start, .. }) = plan.steps[index].kernel else { continue };
        let (from, part) = (plan.steps[index].inputs[0], plan.steps[index].outputs[0]);
        let in_arena = plan.buffer(from).region == Region::Arena && from != plan.input;
        if in_arena && is_map(plan, plan.buffer(from)) && uses.reads_step_over(plan, part, None) {
            let whole = plan.buffer(from).slice.unwrap_or(Slice { of: from, start: 0 });
            plan.buffers[part.0 as usize].slice = Some(Slice { start: whole.start + start, ..whole });
            *instead = Some(Vec::new());
        }
    }
}

/// Whether a buffer can be a slice or have some.
fn is_map(plan: &Plan, buffer: &Buffer) -> bool {
    buffer.shape.rank() == 4 && (buffer.dtype, buffer.layout) == (DType::F32, plan.layouts.maps)
}

impl Plan {
    /// A buffer of some channels of a map.
    fn add_slice(&mut self, name: String, like: BufferId, channels: usize, slice: Slice) -> BufferId {
        let Buffer { mut shape, dtype, layout, region, .. } = self.buffer(like).clone();
        shape.0[1] = channels;
        let id = BufferId(self.buffers.len() as u32);
        let bytes = shape.numel().expect("smaller than the map") * dtype.size();
        let slice = Some(slice);
        self.buffers.push(Buffer {
            name,
            shape,
            dtype,
            layout,
            region,
            offset: 0,
            bytes,
            live: None,
            slice,
            span: None,
        });
        id
    }
}

/// Who makes and who reads each buffer: `(step, position)`.
struct Uses {
    made: Vec<Option<(usize, usize)>>,
    read: Vec<Vec<(usize, usize)>>,
    /// Of each step.
    operands: Vec<Operands>,
}

impl Uses {
    fn of(plan: &Plan) -> Self {
        let mut uses = Uses {
            made: vec![None; plan.buffers.len()],
            read: vec![Vec::new(); plan.buffers.len()],
            operands: plan.steps.iter().map(Step::operands).collect(),
        };
        for (index, step) in plan.steps.iter().enumerate() {
            for (i, id) in step.inputs.iter().enumerate() {
                uses.read[id.0 as usize].push((index, i));
            }
            for (i, id) in step.outputs.iter().enumerate() {
                uses.made[id.0 as usize] = Some((index, i));
            }
        }
        uses
    }

    /// Whether an operand of the concatenation at `index` can be a slice of its result.
    fn can_be_slice(&self, plan: &Plan, index: usize, id: BufferId) -> bool {
        let once = self.read[id.0 as usize].iter().filter(|&&(step, _)| step == index).count() == 1;
        let made = self.made[id.0 as usize];
        let is_made = made.is_some_and(|(step, output)| self.operands[step].outputs[output].slice);
        is_made && once && self.reads_step_over(plan, id, Some(index))
    }

    /// Whether a map can be a slice for all that read it but one step. Inputs of the plan are written, and its results
    /// read, from outside.
    fn reads_step_over(&self, plan: &Plan, id: BufferId, but: Option<usize>) -> bool {
        let buffer = plan.buffer(id);
        let is_result = plan.outputs.iter().any(|&(_, output)| output == id);
        let own = buffer.region == Region::Arena && buffer.slice.is_none() && !is_result;
        let mut others = self.read[id.0 as usize].iter().filter(|&&(step, _)| Some(step) != but);
        let stepped = others.all(|&(step, input)| self.operands[step].inputs[input].slice);
        is_map(plan, buffer) && own && stepped
    }
}
