//! What holds of every plan:
//!
//! 1. What `bounds` says of buffers and steps. The lifetime of a map covers those of its slices.
//! 2. Buffers of the arena that are alive at the same step are disjoint, except that an output may lie exactly on an
//!    input that dies with the step, where the kernel allows it, and that slices lie in their map. No channel of a map
//!    is written twice.
//! 3. Persistent tensors are disjoint; a gradient lies at its parameter's offset.
//! 4. Within a buffer's lifetime nothing is read before it is written, inputs and persistent tensors aside; of a map that
//!    has slices, all channels that are read.
//! 5. A parameter is not read after the step that updates it.
//! 6. Between the beginning of a sum over ranks and the wait for it no step touches its gradients; each is awaited once.

use std::ops::Range;

use super::{Buffer, BufferId, Kernel, Plan, Region, Slice, Step, channels};

impl Plan {
    /// All faults, as sentences; empty for a sound plan.
    pub fn check(&self) -> Vec<String> {
        let mut faults = self.check_memory();
        if !faults.is_empty() {
            return faults;
        }
        self.check_slices(&mut faults);
        self.check_arena(&mut faults);
        self.check_persistent(&mut faults);
        self.check_reads(&mut faults);
        self.check_updates(&mut faults);
        self.check_reductions(&mut faults);
        faults
    }

    fn check_slices(&self, faults: &mut Vec<String>) {
        for buffer in &self.buffers {
            let Some(Slice { of, .. }) = buffer.slice else { continue };
            let whole = self.buffer(of);
            let covered = match (whole.live, buffer.live) {
                (Some(whole), Some(own)) => whole.0 <= own.0 && own.1 <= whole.1,
                (_, own) => own.is_none(),
            };
            if !covered {
                faults.push(format!("`{}` outlives `{}`, whose slice it is", buffer.name, whole.name));
            }
        }
    }

    fn check_arena(&self, faults: &mut Vec<String>) {
        let mut arena: Vec<BufferId> = (0..self.buffers.len() as u32).map(BufferId).collect();
        let has_memory = |b: &Buffer| b.region == Region::Arena && b.live.is_some() && b.slice.is_none();
        arena.retain(|&id| has_memory(self.buffer(id)));
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
        let operands = step.operands();
        let allowed = step.in_place(&operands).any(|pair| pair == (output, input));
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
        for step in self.steps.iter().filter(|step| !step.kernel.is_of_optimizer()) {
            for gradient in step.outputs.iter().map(|&id| self.buffer(id)) {
                let fits = |slot: &&Buffer| slot.region == Region::Params && same_place(slot, gradient);
                if gradient.region == Region::Grads && !slots.iter().any(fits) {
                    faults.push(format!("`{}` is no parameter's gradient", gradient.name));
                }
            }
        }
    }

    fn check_reads(&self, faults: &mut Vec<String>) {
        let mut written = vec![Vec::new(); self.buffers.len()];
        let persistent = |b: &Buffer| !matches!(b.region, Region::Arena | Region::Grads);
        let ids = (0..self.buffers.len() as u32).map(BufferId);
        let before = ids.filter(|&id| persistent(self.buffer(id))).chain(self.fed());
        for id in before {
            let (whole, channels) = self.channels(id);
            written[whole.0 as usize].push(channels);
        }
        for (index, step) in self.steps.iter().enumerate() {
            // The optimizer's kernels read the gradients of many parameters, and what lies between them, as one buffer.
            let spans =
                |id: BufferId| step.kernel.is_of_optimizer() && self.buffer(id).region == Region::Grads;
            for &id in step.inputs.iter().filter(|&&id| !spans(id)) {
                let (whole, channels) = self.channels(id);
                if !covers(&mut written[whole.0 as usize], channels) {
                    faults
                        .push(format!("step {index} reads `{}` before it is written", self.buffer(id).name));
                }
            }
            for &id in &step.outputs {
                let (whole, channels) = self.channels(id);
                let written = &mut written[whole.0 as usize];
                let meets = |w: &Range<usize>| w.start < channels.end && channels.start < w.end;
                if self.buffer(id).slice.is_some() && written.iter().any(meets) {
                    faults.push(format!("step {index} writes `{}` once more", self.buffer(id).name));
                }
                written.push(channels);
            }
        }
    }

    /// The map with memory that a buffer is, or is a part of, and its channels there.
    fn channels(&self, id: BufferId) -> (BufferId, Range<usize>) {
        let count = channels(self.buffer(id)).max(1);
        match self.buffer(id).slice {
            Some(Slice { of, start }) => (of, start..start + count),
            None => (id, 0..count),
        }
    }

    fn check_updates(&self, faults: &mut Vec<String>) {
        let is_update = |kernel: &Kernel| matches!(kernel, Kernel::Update(_));
        let first = self.steps.iter().position(|step| is_update(&step.kernel)).unwrap_or(self.steps.len());
        for step in self.steps[first..].iter().filter(|step| !step.kernel.is_of_optimizer()) {
            faults.push(format!("`{}` runs after an update", step.name));
        }
    }

    fn check_reductions(&self, faults: &mut Vec<String>) {
        let mut open: Vec<(usize, BufferId)> = Vec::new();
        for step in &self.steps {
            match step.kernel {
                Kernel::AllReduceWait(wait) => {
                    match open.iter().position(|(bucket, _)| *bucket == wait.bucket) {
                        Some(index) => drop(open.swap_remove(index)),
                        None => faults.push(format!("`{}` waits for what has not begun", step.name)),
                    }
                }
                Kernel::AllReduce(begun) => {
                    self.check_apart(step, &open, faults);
                    open.push((begun.bucket, step.inputs[0]));
                }
                _ => self.check_apart(step, &open, faults),
            }
        }
        for (_, bucket) in open {
            faults.push(format!("nobody waits for `{}`", self.buffer(bucket).name));
        }
    }

    /// That a step touches none of the buckets that are being summed.
    fn check_apart(&self, step: &Step, open: &[(usize, BufferId)], faults: &mut Vec<String>) {
        for (id, (_, bucket)) in step.buffers().flat_map(|id| open.iter().map(move |open| (id, open))) {
            let (buffer, bucket) = (self.buffer(id), self.buffer(*bucket));
            let apart = buffer.offset + buffer.bytes <= bucket.offset
                || bucket.offset + bucket.bytes <= buffer.offset;
            if buffer.region == bucket.region && !apart {
                faults.push(format!("`{}` touches `{}` while it is summed", step.name, bucket.name));
            }
        }
    }
}

/// Whether the channels are all among those written.
fn covers(written: &mut [Range<usize>], channels: Range<usize>) -> bool {
    written.sort_unstable_by_key(|range| range.start);
    let until = |end: usize, range: &Range<usize>| if range.start <= end { end.max(range.end) } else { end };
    written.iter().fold(channels.start, until) >= channels.end
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
