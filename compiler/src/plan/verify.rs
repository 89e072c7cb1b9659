//! What holds of every plan:
//!
//! 1. Every buffer lies inside its region at a multiple of [`ALIGN`], and its size is its shape's.
//! 2. Buffers of the arena that are alive at the same step are disjoint, except that an output may lie exactly on an
//!    input that dies with the step, where the kernel allows it.
//! 3. Persistent tensors are disjoint; a gradient lies at its parameter's offset.
//! 4. Within a buffer's lifetime nothing is read before it is written, inputs and persistent tensors aside.
//! 5. A parameter is not read after the step that updates it.

use super::{ALIGN, Buffer, BufferId, Kernel, Plan, Region};

impl Plan {
    /// All faults, as sentences; empty for a sound plan.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.check_bounds(&mut faults);
        self.check_arena(&mut faults);
        self.check_persistent(&mut faults);
        self.check_reads(&mut faults);
        self.check_updates(&mut faults);
        faults
    }

    /// Size of a region in bytes.
    pub fn region_bytes(&self, region: Region) -> usize {
        match region {
            Region::Arena => self.sizes.arena,
            Region::Params => self.sizes.params,
            Region::Grads | Region::Velocity if self.updates() => self.sizes.params,
            Region::Grads | Region::Velocity => 0,
            Region::State => self.sizes.state,
        }
    }

    fn updates(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.kernel, Kernel::SgdUpdate { .. }))
    }

    fn check_bounds(&self, faults: &mut Vec<String>) {
        for buffer in &self.buffers {
            let Buffer { name, shape, dtype, region, offset, bytes, .. } = buffer;
            if offset % ALIGN != 0 {
                faults.push(format!("`{name}` at {offset} is not aligned"));
            }
            if shape.numel().and_then(|numel| numel.checked_mul(dtype.size())) != Some(*bytes) {
                faults.push(format!("`{name}` of {shape} {dtype} has {bytes} bytes"));
            }
            if offset + bytes > self.region_bytes(*region) {
                faults.push(format!("`{name}` ends behind its region"));
            }
        }
    }

    fn check_arena(&self, faults: &mut Vec<String>) {
        let mut arena: Vec<BufferId> = (0..self.buffers.len() as u32).map(BufferId).collect();
        arena.retain(|&id| self.buffer(id).region == Region::Arena && self.buffer(id).live.is_some());
        arena.sort_by_key(|&id| (self.buffer(id).offset, id));
        for (index, &low) in arena.iter().enumerate() {
            let end = self.buffer(low).offset + self.buffer(low).bytes;
            for &high in arena[index + 1..].iter().take_while(|&&id| self.buffer(id).offset < end) {
                if meet(self.buffer(low), self.buffer(high))
                    && !self.in_place(low, high)
                    && !self.in_place(high, low)
                {
                    let names = (&self.buffer(low).name, &self.buffer(high).name);
                    faults.push(format!("`{}` and `{}` overlap while both live", names.0, names.1));
                }
            }
        }
    }

    /// Whether `output` lies exactly on `input` at the one step where they meet, and the kernel allows it.
    fn in_place(&self, output: BufferId, input: BufferId) -> bool {
        let (to, from) = (self.buffer(output), self.buffer(input));
        let (Some((born, _)), Some((_, dies))) = (to.live, from.live) else { return false };
        let Some(step) = self.steps.get(born) else { return false };
        let allowed = step.in_place().any(|pair| pair == (output, input));
        let is_result = self.outputs.iter().any(|&(_, id)| id == input);
        allowed && born == dies && !is_result && (to.offset, to.bytes) == (from.offset, from.bytes)
    }

    fn check_persistent(&self, faults: &mut Vec<String>) {
        let mut slots: Vec<&Buffer> = self.slots.iter().map(|slot| self.buffer(slot.buffer)).collect();
        slots.sort_by_key(|buffer| (buffer.region, buffer.offset));
        for pair in slots.windows(2) {
            if pair[0].region == pair[1].region && pair[0].offset + pair[0].bytes > pair[1].offset {
                faults.push(format!("`{}` and `{}` overlap", pair[0].name, pair[1].name));
            }
        }
        for step in self.steps.iter().filter(|step| !matches!(step.kernel, Kernel::SgdUpdate { .. })) {
            for gradient in step.outputs.iter().map(|&id| self.buffer(id)) {
                let fits = |slot: &&Buffer| slot.region == Region::Params && same_place(slot, gradient);
                if gradient.region == Region::Grads && !slots.iter().any(fits) {
                    faults.push(format!("`{}` is no parameter's gradient", gradient.name));
                }
            }
        }
    }

    fn check_reads(&self, faults: &mut Vec<String>) {
        let mut written: Vec<bool> =
            self.buffers.iter().map(|b| !matches!(b.region, Region::Arena | Region::Grads)).collect();
        for id in [Some(self.input), self.labels].into_iter().flatten() {
            written[id.0 as usize] = true;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let is_update = matches!(step.kernel, Kernel::SgdUpdate { .. });
            for &id in step.inputs.iter().filter(|_| !is_update) {
                if !written[id.0 as usize] {
                    faults
                        .push(format!("step {index} reads `{}` before it is written", self.buffer(id).name));
                }
            }
            for &id in &step.outputs {
                written[id.0 as usize] = true;
            }
        }
    }

    fn check_updates(&self, faults: &mut Vec<String>) {
        let is_update = |kernel: &Kernel| matches!(kernel, Kernel::SgdUpdate { .. });
        let first = self.steps.iter().position(|step| is_update(&step.kernel)).unwrap_or(self.steps.len());
        for step in self.steps[first..].iter().filter(|step| !is_update(&step.kernel)) {
            faults.push(format!("`{}` runs after an update", step.name));
        }
    }
}

fn meet(a: &Buffer, b: &Buffer) -> bool {
    match (a.live, b.live) {
        (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
        _ => false,
    }
}

fn same_place(a: &Buffer, b: &Buffer) -> bool {
    (a.offset, a.bytes) == (b.offset, b.bytes) && a.layout == b.layout
}
