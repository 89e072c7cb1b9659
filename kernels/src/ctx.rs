//! What every kernel gets besides its operands.

use super::memory::Dst;
use super::simd::Isa;
use super::threads::ThreadPool;

/// Below this many elements, waking the other threads costs more than it saves.
const SERIAL: usize = 4096;

/// What every kernel gets besides its operands.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The threads.
    pub threads: &'a ThreadPool,
    /// The instructions.
    pub isa: Isa,
    /// Memory that no other step uses at the same time, as long as the kernel's `scratch_len` said at load or longer.
    /// Its contents do not survive the step.
    pub scratch: Dst<'a, f32>,
}

impl Ctx<'_> {
    /// Runs `task(index)` for each thread's index: on all threads or, with little to do, one after the other on this
    /// one. The partition follows from the index, so the results are the same.
    pub(crate) fn parallel(&self, elements: usize, task: &(dyn Fn(usize) + Sync)) {
        if elements < SERIAL {
            (0..self.threads.count()).for_each(task);
        } else {
            self.threads.run(task);
        }
    }
}
