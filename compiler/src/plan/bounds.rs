//! What keeps every kernel inside of its operands: checked of each plan when it is made, and once more by a device that loads
//! one, since a plan may come from a file.
//!
//! 1. Every buffer lies inside its region at a multiple of the plan's alignment, and its size is its shape's. A slice lies at its
//!    channels of a map that is none, and has its pixels. Of a rank's part of a span, all of this holds for each rank.
//! 2. Every step has the operands that its kernel's table says: as many, of those sizes and types, slices only where the
//!    kernel steps over gaps. Maps of one group are all `f32` or all of one narrow type, that of the factors
//!    where the kernel multiplies.
//! 3. An output overlaps no operand of its step; it may lie exactly on an input where the table allows it. Slices of one map
//!    overlap where their channels do; to anything else a slice is its whole map.

use std::ops::Range;

use super::{Buffer, BufferId, Operand, Operands, Plan, Region, Slice, Step};
use crate::ir::graph::Mode;
use crate::ir::types::DType;

impl Plan {
    /// All faults that could make a kernel touch memory outside of its operands, as sentences.
    pub fn check_memory(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.align.is_power_of_two() {
            faults.push(format!("an alignment of {} bytes", self.align));
        }
        self.check_ids(&mut faults);
        if !faults.is_empty() {
            return faults;
        }
        self.check_shards(&mut faults);
        for buffer in &self.buffers {
            self.check_place(buffer, &mut faults);
        }
        for step in &self.steps {
            if let Err(fault) = self.check_step(step) {
                faults.push(format!("step `{}`: {fault}", step.name));
            }
        }
        faults
    }

    /// Size of a region in bytes. Gradients have memory in training, the optimizer's tensors where they are listed.
    pub fn region_bytes(&self, region: Region) -> usize {
        match region {
            Region::Arena => self.sizes.arena,
            Region::Params => self.sizes.params,
            Region::Grads if self.mode == Mode::Train => self.sizes.params - self.sizes.frozen,
            Region::Optimizer(index) if self.is_sharded(index) => self.sharded_bytes(),
            Region::Optimizer(index) if usize::from(index) < self.optimizer.len() => {
                self.sizes.params - self.sizes.frozen
            }
            Region::Grads | Region::Optimizer(_) => 0,
            Region::State => self.sizes.state,
            Region::Control => self.sizes.control,
        }
    }

    /// Bytes of all regions: what a session and its device hold for this plan, but for packed weights and workspaces.
    pub fn bytes(&self) -> usize {
        let fixed = [Region::Arena, Region::Params, Region::Grads, Region::State, Region::Control];
        let optimizer = (0..self.optimizer.len()).map(|index| Region::Optimizer(index as u8));
        fixed.into_iter().chain(optimizer).map(|region| self.region_bytes(region)).sum()
    }

    /// That every id is a buffer's: all else may then look buffers up.
    fn check_ids(&self, faults: &mut Vec<String>) {
        let known = |id: &BufferId| (id.0 as usize) < self.buffers.len();
        let steps = self.steps.iter().flat_map(Step::buffers);
        let slices = self.buffers.iter().filter_map(|buffer| buffer.slice.map(|slice| slice.of));
        let named = self.outputs.iter().map(|&(_, id)| id).chain(self.fed());
        let slots = self.slots.iter().map(|slot| slot.buffer).chain(self.controls.all());
        if !steps.chain(slices).chain(named).chain(slots).all(|id| known(&id)) {
            faults.push("an operand is no buffer of the plan".to_owned());
        }
    }

    fn check_place(&self, buffer: &Buffer, faults: &mut Vec<String>) {
        let Buffer { name, shape, dtype, region, offset, bytes, span, .. } = buffer;
        if shape.numel().and_then(|numel| numel.checked_mul(dtype.size())) != Some(*bytes) {
            faults.push(format!("`{name}` of {shape} {dtype} has {bytes} bytes"));
        }
        if let Some(slice) = buffer.slice {
            if self.is_slice(buffer, slice) != Some(true) {
                faults.push(format!("`{name}` is no slice of `{}`", self.buffer(slice.of).name));
            }
            return;
        }
        // Each rank's part has to be aligned.
        if span.is_some_and(|span| {
            span < *bytes || !span.is_multiple_of(self.align) || !bytes.is_multiple_of(self.align)
        }) {
            faults.push(format!("`{name}` of {bytes} bytes is no part of a span of {}", span.unwrap_or(0)));
        }
        let end = offset.checked_add(span.unwrap_or(*bytes));
        if !offset.is_multiple_of(self.align) || end.is_none_or(|end| end > self.region_bytes(*region)) {
            faults.push(format!(
                "`{name}`: {bytes} bytes at {offset} of {region} are misaligned or outside of it"
            ));
        }
    }

    fn is_slice(&self, buffer: &Buffer, Slice { of, start }: Slice) -> Option<bool> {
        let whole = self.buffer(of);
        let ([n, c, h, w], [own_n, own_c, own_h, own_w]) = (whole.shape.nchw()?, buffer.shape.nchw()?);
        let kind = |b: &Buffer| (b.region, b.dtype, b.layout);
        Some(
            [n, h, w] == [own_n, own_h, own_w]
                && start.checked_add(own_c)? <= c
                && whole.slice.is_none()
                && whole.layout == self.layouts.maps
                && kind(buffer) == kind(whole)
                && buffer.offset == whole.offset.checked_add(start.checked_mul(buffer.dtype.size())?)?,
        )
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        let operands = step.kernel.operands().ok_or("sizes that contradict each other or overflow")?;
        let counts = (step.inputs.len(), step.outputs.len());
        let expected = (operands.inputs.len(), operands.outputs.len());
        if counts != expected {
            return Err(format!(
                "{} inputs and {} outputs, expected {} and {}",
                counts.0, counts.1, expected.0, expected.1
            ));
        }
        for (id, operand) in step.buffers().zip(operands.all()) {
            self.check_operand(step, &operands, self.buffer(id), operand)?;
        }
        self.check_overlap(step, &operands)
    }

    fn check_operand(
        &self,
        step: &Step,
        operands: &Operands,
        buffer: &Buffer,
        operand: &Operand,
    ) -> Result<(), String> {
        if buffer.slice.is_some() && !operand.slice {
            return Err(format!("the kernel cannot step over the gaps of `{}`", buffer.name));
        }
        let dtype = self.stored_type(step, operands, operand);
        let len = operand.sizes.numel();
        if buffer.dtype != dtype || len.is_none() || buffer.shape.numel() != len {
            let Buffer { name, dtype: found, shape, .. } = buffer;
            let wanted = format!("{} elements of {dtype}", len.unwrap_or(usize::MAX));
            return Err(format!("`{name}` of {shape} {found} is no `{}` of {wanted}", operand.name));
        }
        Ok(())
    }

    /// What an operand is stored as: the narrow type that all of its group have, if it is one that the kernel takes.
    fn stored_type(&self, step: &Step, operands: &Operands, operand: &Operand) -> DType {
        let Some(group) = operand.narrow else { return operand.content.dtype() };
        let members = || step.buffers().zip(operands.all()).filter(|(_, other)| other.narrow == Some(group));
        let all_are = |ty: &&DType| members().all(|(id, _)| self.buffer(id).dtype == **ty);
        step.kernel.narrow_types().iter().find(all_are).copied().unwrap_or(operand.content.dtype())
    }

    fn check_overlap(&self, step: &Step, operands: &Operands) -> Result<(), String> {
        for (i, &output) in step.outputs.iter().enumerate() {
            let later = step.outputs[i + 1..].iter().map(|&id| (id, false));
            let inputs = step.inputs.iter().map(|&input| {
                let allowed = step.in_place(operands).any(|pair| pair == (output, input));
                (input, allowed)
            });
            for (other, may_coincide) in inputs.chain(later) {
                let (o, b) = (self.buffer(output), self.buffer(other));
                let coincide =
                    (o.offset, o.bytes) == (b.offset, b.bytes) && o.slice.is_none() && b.slice.is_none();
                if !(self.are_apart(o, b) || coincide && may_coincide) {
                    return Err(format!("its output `{}` overlaps `{}`", o.name, b.name));
                }
            }
        }
        Ok(())
    }

    /// Whether two buffers have no byte in common.
    fn are_apart(&self, a: &Buffer, b: &Buffer) -> bool {
        let (one, two) = (self.extent(a), self.extent(b));
        let other_channels = || match (a.slice, b.slice) {
            (Some(first), Some(second)) if first.of == second.of => {
                first.start + a.shape.0[1] <= second.start || second.start + b.shape.0[1] <= first.start
            }
            _ => false,
        };
        a.region != b.region || one.end <= two.start || two.end <= one.start || other_channels()
    }

    /// Bytes of a buffer in its region; of a slice those of its map.
    fn extent(&self, buffer: &Buffer) -> Range<usize> {
        let whole = buffer.slice.map_or(buffer, |slice| self.buffer(slice.of));
        whole.extent()
    }
}
