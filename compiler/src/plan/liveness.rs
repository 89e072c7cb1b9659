//! Lifetimes of the arena's buffers over the steps, and which of them take over another's memory in place. Slices have no
//! memory of their own: they lie where the map does that they are a part of, which lives as long as they do.

use super::arena::{self, Request};
use super::{Buffer, BufferId, Kernel, Plan, Region, Slice, Step};
use crate::backend::Backend;

/// Gives every buffer of the arena its lifetime and its offset; returns the arena's size.
pub(super) fn plan_arena(plan: &mut Plan, backend: &Backend) -> usize {
    set_lifetimes(plan);
    let shared = share_in_place(plan, backend);
    let placement = arena::place(&shared.requests, plan.align);
    for (buffer, request) in plan.buffers.iter_mut().zip(&shared.request_of) {
        if let Some(request) = request {
            buffer.offset = placement.offsets[*request];
        }
    }
    for index in 0..plan.buffers.len() {
        if let Some(Slice { of, start }) = plan.buffers[index].slice {
            let whole = plan.buffer(of);
            plan.buffers[index].offset = whole.offset + start * whole.dtype.size();
        }
    }
    placement.peak
}

/// First and last step that touch each buffer of the arena. Inputs are there from the start, outputs to the end.
fn set_lifetimes(plan: &mut Plan) {
    let fed: Vec<BufferId> = plan.fed().collect();
    let Plan { buffers, steps, outputs, .. } = plan;
    let mut touch = |id: BufferId, step: usize| {
        let slice = buffers[id.0 as usize].slice;
        for id in [Some(id), slice.map(|slice| slice.of)].into_iter().flatten() {
            let Buffer { region, live, .. } = &mut buffers[id.0 as usize];
            if *region == Region::Arena {
                let (first, last) = live.unwrap_or((step, step));
                *live = Some((first.min(step), last.max(step)));
            }
        }
    };
    fed.into_iter().for_each(|id| touch(id, 0));
    for (index, step) in steps.iter().enumerate() {
        for &id in step.inputs.iter().chain(&step.outputs) {
            touch(id, index);
        }
    }
    for (_, id) in outputs {
        touch(*id, steps.len().saturating_sub(1));
    }
}

/// Buffers grouped by the memory they share in place.
struct Shared {
    /// One per piece of memory.
    requests: Vec<Request>,
    /// Which piece a buffer lies in; `None` outside of the arena, and of slices.
    request_of: Vec<Option<usize>>,
}

/// Where a kernel may write over an input that dies with its step, the output takes the input's memory.
fn share_in_place(plan: &Plan, backend: &Backend) -> Shared {
    let mut requests: Vec<Request> = Vec::new();
    let mut request_of = vec![None; plan.buffers.len()];
    for (buffer, request) in plan.buffers.iter().zip(&mut request_of) {
        if let Some(live) = buffer.live.filter(|_| buffer.slice.is_none()) {
            *request = Some(requests.len());
            requests.push(Request { bytes: buffer.bytes, live });
        }
    }
    let mut absorbed = vec![false; requests.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        let mut taken: Vec<BufferId> = Vec::new();
        let mut settled: Vec<BufferId> = Vec::new();
        let operands = step.operands();
        for (output, input) in step.in_place(&operands) {
            if settled.contains(&output) || taken.contains(&input) || !can_take(plan, index, output, input) {
                continue;
            }
            if is_apart(step, output, backend) {
                continue;
            }
            let (from, to) = (request_of[output.0 as usize], request_of[input.0 as usize]);
            let (Some(from), Some(to)) = (from, to) else { continue };
            requests[to].live.1 = requests[from].live.1;
            absorbed[from] = true;
            request_of[output.0 as usize] = Some(to);
            taken.push(input);
            settled.push(output);
        }
    }
    compact(requests, &absorbed, request_of)
}

/// Whether a result lies on nothing that its step reads, as the backend may compute it by what must not.
fn is_apart(step: &Step, output: BufferId, backend: &Backend) -> bool {
    let is_gradient = matches!(step.kernel, Kernel::BnBackwardApply(_)) && step.outputs[0] == output;
    is_gradient && !backend.norm_gradients_in_place
}

/// Whether `output`, first written at `step`, may lie on `input`: the input is not needed afterwards.
fn can_take(plan: &Plan, step: usize, output: BufferId, input: BufferId) -> bool {
    let (to, from) = (plan.buffer(output), plan.buffer(input));
    let dies = from.live.is_some_and(|(_, last)| last == step);
    let born = to.live.is_some_and(|(first, _)| first == step);
    let is_result = plan.outputs.iter().any(|&(_, id)| id == input);
    let whole = to.slice.is_none() && from.slice.is_none();
    dies && born && whole && !is_result && to.bytes == from.bytes
}

fn compact(requests: Vec<Request>, absorbed: &[bool], mut request_of: Vec<Option<usize>>) -> Shared {
    let mut new_index = vec![0; requests.len()];
    let mut kept = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        new_index[index] = kept.len();
        if !absorbed[index] {
            kept.push(request);
        }
    }
    for request in request_of.iter_mut().flatten() {
        *request = new_index[*request];
    }
    Shared { requests: kept, request_of }
}
