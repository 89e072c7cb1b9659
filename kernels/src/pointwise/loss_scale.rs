//! What a scaled loss asks for besides its updates. No plan for this device has one, as bf16 has the range of `f32`; plans for others
//! may be compared on it.

use std::sync::atomic::{AtomicBool, Ordering};

use resnetc_compiler::ir::loss_scale::DynamicScale;

use crate::ctx::Ctx;
use crate::maps::expect_len;
use crate::memory::{Dst, Src};
use crate::simd::MAX_LANES;
use crate::threads::chunk;

/// `finite = 1` where no gradient is infinite or NaN, else 0.
pub fn all_finite(ctx: &Ctx<'_>, grad: Src<'_, f32>, finite: Dst<'_, u32>) {
    expect_len(finite.len(), 1, "finite");
    let found = AtomicBool::new(false);
    // SAFETY: nothing writes gradients meanwhile.
    let elements = unsafe { grad.slice() };
    ctx.parallel(elements.len(), &|thread| {
        let own = &elements[chunk(elements.len(), MAX_LANES, thread, ctx.threads.count())];
        // All of them, so that the loop has no way out and runs in vectors.
        if own.iter().fold(false, |found, x| found | !x.is_finite()) {
            found.store(true, Ordering::Relaxed);
        }
    });
    // SAFETY: the threads are done.
    let flag = unsafe { finite.slice(0..1) };
    flag[0] = u32::from(!found.into_inner());
}

/// What a dynamic scale changes.
pub struct State<'a> {
    /// How.
    pub dynamic: DynamicScale,
    /// The scale.
    pub scale: Dst<'a, f32>,
    /// Good steps since it last changed.
    pub good_steps: Dst<'a, f32>,
}

/// Counts a step that was left out, and finds the next scale, as PyTorch's `_amp_update_scale_`.
pub fn update(finite: bool, skipped: Dst<'_, f32>, state: Option<State<'_>>) {
    if !finite {
        set(skipped, skipped.src().get(0) + 1.0);
    }
    let Some(State { dynamic, scale, good_steps }) = state else { return };
    let good = if finite { good_steps.src().get(0) + 1.0 } else { 0.0 };
    // In double precision: a growing scale may leave the range of `f32`, and then stays.
    let (now, full) = (f64::from(scale.src().get(0)), finite && good >= dynamic.interval as f32);
    let next = match (finite, full) {
        (false, _) => (now * f64::from(dynamic.backoff)) as f32,
        (true, true) => (now * f64::from(dynamic.growth)) as f32,
        (true, false) => now as f32,
    };
    if next.is_finite() {
        set(scale, next);
    }
    set(good_steps, if full { 0.0 } else { good });
}

/// Writes an operand of one element.
fn set(operand: Dst<'_, f32>, value: f32) {
    // SAFETY: the step runs on one thread here, and no other reference to the element lives.
    let element = unsafe { operand.slice(0..1) };
    element[0] = value;
}
